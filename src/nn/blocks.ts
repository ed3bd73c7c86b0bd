/** The network's building blocks, each a plain composition of layers. */

import type { BrickTable } from '../bricks/table.ts';
import { attention } from '../ops/attention.ts';
import { composingPays } from '../ops/up-conv3.ts';
import type { Tape } from '../tape/tape.ts';
import type { Tensor } from '../tape/tensor.ts';
import type { Declarations } from './declare.ts';
import { kaimingNormal, truncatedNormal, xavierUniform, zeros } from './initialisers.ts';
import {
  applyComposed,
  applyFeedForward,
  BatchNormReLU,
  Conv3,
  type Conv3Options,
  DepthwiseConv3,
  LayerNorm,
  Linear,
  TransposedConv2,
} from './layers.ts';

/** MedNeXt block: depthwise 3³, norm, expand, GELU, project, plus its input. */
export class MedNeXtBlock {
  private readonly depthwise: DepthwiseConv3;
  private readonly norm: LayerNorm;
  private readonly expand: Linear;
  private readonly project: Linear;

  constructor(declare: Declarations, name: string, channels: number, expansion: number) {
    this.depthwise = new DepthwiseConv3(declare, `${name}.depthwise`, channels);
    this.norm = new LayerNorm(declare, `${name}.norm`, channels, 1e-6);
    this.expand = new Linear(declare, `${name}.expand`, channels, expansion * channels);
    this.project = new Linear(declare, `${name}.project`, expansion * channels, channels);
  }

  apply(tape: Tape, x: Tensor, table: BrickTable): Tensor {
    return tape.recomputable(() => {
      const mixed = this.norm.apply(tape, this.depthwise.apply(tape, x, table));
      return applyFeedForward(tape, this.expand, this.project, mixed, x);
    });
  }
}

/** Pre-norm transformer block: attention among a sample's tokens, then an MLP of four times the width. */
export class TransformerBlock {
  private readonly norm1: LayerNorm;
  private readonly qkv: Linear;
  private readonly projection: Linear;
  private readonly norm2: LayerNorm;
  private readonly fc1: Linear;
  private readonly fc2: Linear;

  constructor(
    declare: Declarations,
    name: string,
    channels: number,
    private readonly heads: number,
  ) {
    const linear = (part: string, inner: number, columns: number) =>
      new Linear(declare, `${name}.${part}`, inner, columns, { weight: xavierUniform(inner, columns), bias: zeros });
    this.norm1 = new LayerNorm(declare, `${name}.norm1`, channels, 1e-5);
    this.qkv = linear('qkv', channels, 3 * channels);
    this.projection = linear('projection', channels, channels);
    this.norm2 = new LayerNorm(declare, `${name}.norm2`, channels, 1e-5);
    this.fc1 = linear('fc1', channels, 4 * channels);
    this.fc2 = linear('fc2', 4 * channels, channels);
  }

  apply(tape: Tape, x: Tensor, samples: number): Tensor {
    return tape.recomputable(() => {
      const qkv = this.qkv.apply(tape, this.norm1.apply(tape, x));
      const mixed = attention(tape, { qkv }, { heads: this.heads, samples });
      const attended = this.projection.apply(tape, mixed, x);
      return applyFeedForward(tape, this.fc1, this.fc2, this.norm2.apply(tape, attended), attended);
    });
  }
}

export interface DecoderOptions extends Pick<Conv3Options, 'winograd'> {
  /** Batch norm takes the batch's statistics and moves the running ones; otherwise it uses the running ones. */
  readonly training: boolean;
  /** Whether a transposed convolution and the convolution after it run as one map; unless given, where that is less work. */
  readonly upConv?: boolean;
}

/** Decoder weights start near zero: normal 0.02, in effect not truncated. */
const SMALL = { weight: truncatedNormal(0.02, 2), bias: zeros };

/** Twice 3³ convolution, batch norm, ReLU. */
export class ConvPair {
  private readonly conv1: Conv3;
  private readonly norm1: BatchNormReLU;
  private readonly conv2: Conv3;
  private readonly norm2: BatchNormReLU;

  constructor(declare: Declarations, name: string, inner: number, columns: number) {
    this.conv1 = new Conv3(declare, `${name}.conv1`, inner, columns, SMALL);
    this.norm1 = new BatchNormReLU(declare, `${name}.norm1`, columns);
    this.conv2 = new Conv3(declare, `${name}.conv2`, columns, columns, SMALL);
    this.norm2 = new BatchNormReLU(declare, `${name}.norm2`, columns);
  }

  /** @param up a transposed convolution to come first, composed with the first convolution. */
  apply(
    tape: Tape,
    x: Tensor,
    table: BrickTable,
    { training, winograd }: DecoderOptions,
    up?: TransposedConv2,
  ): Tensor {
    const options = { cancelled: training, winograd };
    return tape.recomputable(() => {
      const first = up
        ? applyComposed(tape, up, this.conv1, x, table, options)
        : this.conv1.apply(tape, x, table, options);
      const once = this.norm1.apply(tape, first, training);
      return this.norm2.apply(tape, this.conv2.apply(tape, once, table, options), training);
    });
  }
}

/** U-Net decoder block: double the resolution by a transposed convolution, then a pair of convolutions to `columns`. */
export class UpBlock {
  private readonly up: TransposedConv2;
  private readonly pair: ConvPair;

  constructor(
    declare: Declarations,
    name: string,
    private readonly inner: number,
    private readonly columns: number,
  ) {
    // PyTorch counts the fan out of a transposed convolution's (in, out, 2, 2, 2) as in · 8.
    this.up = new TransposedConv2(declare, `${name}.up`, inner, inner, {
      weight: kaimingNormal(8 * inner),
      bias: zeros,
    });
    this.pair = new ConvPair(declare, name, inner, columns);
  }

  apply(tape: Tape, x: Tensor, table: BrickTable, options: DecoderOptions): Tensor {
    const { inner, columns } = this;
    const isLess = composingPays({ inner, middle: inner, columns, rows: x.rows });
    if (options.upConv ?? isLess) return this.pair.apply(tape, x, table, options, this.up);
    return this.pair.apply(tape, this.up.apply(tape, x), table, options);
  }
}

/** The reconstruction's 1³ convolution starts as the decoder's others do. */
export function smallLinear(declare: Declarations, name: string, inner: number, columns: number): Linear {
  return new Linear(declare, name, inner, columns, SMALL);
}

/** Layers with parameters: declared once, applied on any tape. */

import type { BrickTable } from '../bricks/table.ts';
import { batchNorm } from '../ops/batch-norm.ts';
import { conv3 } from '../ops/conv3.ts';
import { convolutionShape, winogradTile } from '../ops/conv3-algorithm.ts';
import { type DensifyConv3Tables, densifyConv3 } from '../ops/densify-conv3.ts';
import { depthwiseConv3 } from '../ops/depthwise-conv3.ts';
import { feedForward } from '../ops/feed-forward.ts';
import { layerNorm } from '../ops/layer-norm.ts';
import { linear } from '../ops/linear.ts';
import { transposedConv2 } from '../ops/transposed-conv2.ts';
import { upConv3 } from '../ops/up-conv3.ts';
import { winogradConv3 } from '../ops/winograd-conv3.ts';
import type { Tape } from '../tape/tape.ts';
import type { Tensor } from '../tape/tensor.ts';
import type { Declarations } from './declare.ts';
import { fanInUniform, type Initialiser, ones, zeros } from './initialisers.ts';

/** How a layer's weight and bias start. */
export interface Start {
  readonly weight: Initialiser;
  readonly bias: Initialiser;
}

function convolutionDefault(fanIn: number): Start {
  return { weight: fanInUniform(fanIn), bias: fanInUniform(fanIn) };
}

/** Linear layer or 1³ convolution. */
export class Linear {
  readonly weight: Tensor;
  readonly bias: Tensor;

  constructor(
    declare: Declarations,
    name: string,
    inner: number,
    columns: number,
    start: Start = convolutionDefault(inner),
  ) {
    this.weight = declare.parameter(`${name}.weight`, [inner, columns], 'linear', start.weight);
    this.bias = declare.parameter(`${name}.bias`, [columns], 'vector', start.bias);
  }

  apply(tape: Tape, x: Tensor, residual?: Tensor): Tensor {
    return linear(tape, { x, weight: this.weight, bias: this.bias, residual }, undefined);
  }
}

/** `second` of the GELU of `first`, plus `residual`. */
export function applyFeedForward(tape: Tape, first: Linear, second: Linear, x: Tensor, residual: Tensor): Tensor {
  const inputs = { weight1: first.weight, bias1: first.bias, weight2: second.weight, bias2: second.bias };
  return feedForward(tape, { x, ...inputs, residual }, undefined);
}

export interface Conv3Options {
  /** A batch norm of the batch's own statistics follows and takes the bias out again: its gradient is zero. */
  readonly cancelled?: boolean;
  /** Whether Winograd's algorithm is used if it can be; unless given, where that is faster. */
  readonly winograd?: boolean;
}

/** 3³ convolution over bricks. */
export class Conv3 {
  readonly weight: Tensor;
  readonly bias: Tensor;

  constructor(
    declare: Declarations,
    name: string,
    inner: number,
    columns: number,
    start: Start = convolutionDefault(27 * inner),
  ) {
    this.weight = declare.parameter(`${name}.weight`, [27, inner, columns], 'conv3', start.weight);
    this.bias = declare.parameter(`${name}.bias`, [columns], 'vector', start.bias);
  }

  apply(tape: Tape, x: Tensor, table: BrickTable, { cancelled = false, winograd }: Conv3Options = {}): Tensor {
    const { weight } = this;
    const bias = cancelled ? this.bias.constant() : this.bias;
    const tile = winogradTile(tape.target, convolutionShape(x, weight), winograd);
    return tile ? winogradConv3(tape, { x, weight, bias }, { table, tile }) : conv3(tape, { x, weight, bias }, table);
  }

  /** `apply` on the dense map of visible bricks x and a token elsewhere, without making that map. */
  densifyAndApply(
    tape: Tape,
    x: Tensor,
    token: Tensor,
    tables: DensifyConv3Tables,
    { winograd }: Conv3Options,
  ): Tensor {
    const { weight, bias } = this;
    const tile = winogradTile(tape.target, convolutionShape(x, weight, 'densify'), winograd);
    return densifyConv3(tape, { x, token, weight, bias }, { ...tables, tile });
  }
}

/** `up`, then `conv`, as one map. */
export function applyComposed(
  tape: Tape,
  up: TransposedConv2,
  conv: Conv3,
  x: Tensor,
  table: BrickTable,
  { cancelled = false, winograd }: Conv3Options,
): Tensor {
  const { weight } = conv;
  const bias = cancelled ? conv.bias.constant() : conv.bias;
  const tile = winogradTile(tape.target, convolutionShape(x, weight, 'up'), winograd);
  return upConv3(tape, { x, upWeight: up.weight, upBias: up.bias, weight, bias }, { table, tile });
}

/** Depthwise 3³ convolution over bricks. */
export class DepthwiseConv3 {
  readonly weight: Tensor;
  readonly bias: Tensor;

  constructor(declare: Declarations, name: string, channels: number) {
    const start = convolutionDefault(27);
    this.weight = declare.parameter(`${name}.weight`, [27, channels], 'depthwise', start.weight);
    this.bias = declare.parameter(`${name}.bias`, [channels], 'vector', start.bias);
  }

  apply(tape: Tape, x: Tensor, table: BrickTable): Tensor {
    return depthwiseConv3(tape, { x, weight: this.weight, bias: this.bias }, table);
  }
}

/** Transposed convolution, kernel 2 and stride 2. */
export class TransposedConv2 {
  readonly weight: Tensor;
  readonly bias: Tensor;

  constructor(declare: Declarations, name: string, inner: number, columns: number, start: Start) {
    this.weight = declare.parameter(`${name}.weight`, [inner, 8, columns], 'transposed', start.weight);
    this.bias = declare.parameter(`${name}.bias`, [columns], 'vector', start.bias);
  }

  apply(tape: Tape, x: Tensor): Tensor {
    return transposedConv2(tape, { x, weight: this.weight, bias: this.bias }, undefined);
  }
}

/** Layer normalisation over channels. */
export class LayerNorm {
  readonly gamma: Tensor;
  readonly beta: Tensor;

  constructor(
    declare: Declarations,
    name: string,
    channels: number,
    private readonly epsilon: number,
  ) {
    this.gamma = declare.parameter(`${name}.weight`, [channels], 'vector', ones);
    this.beta = declare.parameter(`${name}.bias`, [channels], 'vector', zeros);
  }

  apply(tape: Tape, x: Tensor): Tensor {
    return layerNorm(tape, { x, gamma: this.gamma, beta: this.beta }, { epsilon: this.epsilon });
  }
}

/** Batch normalisation followed by ReLU, with running statistics. */
export class BatchNormReLU {
  readonly gamma: Tensor;
  readonly beta: Tensor;
  readonly runningMean: Tensor;
  readonly runningVariance: Tensor;

  constructor(declare: Declarations, name: string, channels: number) {
    this.gamma = declare.parameter(`${name}.weight`, [channels], 'vector', ones);
    this.beta = declare.parameter(`${name}.bias`, [channels], 'vector', zeros);
    this.runningMean = declare.state(`${name}.runningMean`, [channels], zeros);
    this.runningVariance = declare.state(`${name}.runningVariance`, [channels], ones);
  }

  /** @param training the batch's statistics, and move the running ones; otherwise the running ones. */
  apply(tape: Tape, x: Tensor, training: boolean): Tensor {
    const { gamma, beta, runningMean, runningVariance } = this;
    return batchNorm(tape, { x, gamma, beta, runningMean, runningVariance }, { training, relu: true });
  }
}

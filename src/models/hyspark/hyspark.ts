/**
 * HySparK (Tang et al., MICCAI 2024, arXiv 2408.05815): masked pre-training of a sparse CNN + vision transformer hybrid. Hidden patches
 * never enter the encoder; at every scale a learned token takes their place, and a U-Net decoder reconstructs them.
 * What is computed, step by step: golden/README.md.
 */

import { BrickGrid, PATCH } from '../../bricks/grid.ts';
import { visibleCount } from '../../bricks/mask.ts';
import { type BrickTable, brickTable } from '../../bricks/table.ts';
import { ConvPair, type DecoderOptions, smallLinear, UpBlock } from '../../nn/blocks.ts';
import type { Declarations } from '../../nn/declare.ts';
import { fanInUniform, ones, truncatedNormal, zeros } from '../../nn/initialisers.ts';
import { Conv3, Linear } from '../../nn/layers.ts';
import { concat } from '../../ops/concat.ts';
import { densify } from '../../ops/densify.ts';
import type { DensifyConv3Tables } from '../../ops/densify-conv3.ts';
import { gatherBricks } from '../../ops/gather-bricks.ts';
import { patchLoss } from '../../ops/patch-loss.ts';
import type { Tape } from '../../tape/tape.ts';
import type { Tensor } from '../../tape/tensor.ts';
import { checkConfig, type HySparkConfig } from './config.ts';
import { type EncoderFeatures, HySparKEncoder } from './encoder.ts';

/** What a tape of the model is fed with, and what comes out. */
export interface HySparKGraph {
  /** [batch, crop, crop, crop], in 0..1 */
  readonly volume: Tensor;
  readonly visible: BrickTable;
  readonly all: BrickTable;
  readonly encoder: EncoderFeatures;
  /** Densified and projected maps at strides 16, 8, 4, 2. */
  readonly densified: readonly Tensor[];
  /** Decoder maps after fusion (strides 8, 4, 2) and after each up block (strides 8, 4, 2, 1). */
  readonly fused: readonly Tensor[];
  readonly decoded: readonly Tensor[];
  /** [all bricks, 16³, 1]: the reconstruction, in units of each patch's own deviation. */
  readonly reconstruction: Tensor;
  /** [all bricks, 16³, 1]: the unmasked image. */
  readonly image: Tensor;
  /** [1] */
  readonly loss: Tensor;
}

export interface GraphOptions {
  readonly batch: number;
  /** Batch norm takes the batch's statistics and moves the running ones; otherwise it uses the running ones. */
  readonly training: boolean;
  readonly savings?: Savings;
}

/** Exact shortcuts, equal to the plain path up to rounding. Left out, each is taken where it pays. */
export interface Savings extends Omit<DecoderOptions, 'training'> {
  /** Densify and its convolution as a sparse product plus a constant; it always pays. */
  readonly densify?: boolean;
}

/** Every shortcut, or none. */
export function allSavings(on: boolean): Required<Savings> {
  return { upConv: on, winograd: on, densify: on };
}

/** Mask tokens: normal 0.02 cut at one deviation. */
const TOKEN = truncatedNormal(0.02, 0.02);

export class HySparK {
  readonly grid: BrickGrid;
  readonly encoder: HySparKEncoder;
  private readonly maskTokens: readonly Tensor[];
  private readonly projections: readonly [Linear, ...Conv3[]];
  private readonly up: readonly UpBlock[];
  /** Entry 0 belongs to `decoder.1`: the reference's first fusion is never used. */
  private readonly fusion: readonly ConvPair[];
  private readonly reconstruct: Linear;

  constructor(
    readonly declare: Declarations,
    readonly config: HySparkConfig,
  ) {
    checkConfig(config);
    const { channels, width } = config;
    this.grid = BrickGrid.ofCrop(config.crop);
    this.encoder = new HySparKEncoder(declare, config, this.grid);
    // Its gradient is zero, since densify replaces what it fills, but it is there and decays.
    declare.parameter('vit.maskToken', [channels[4]], 'vector', truncatedNormal(0.02, Number.POSITIVE_INFINITY));
    const source = [channels[4], channels[4], channels[3], channels[2], channels[1]] as const;
    const widths = source.map((_, n) => width >> n);
    this.maskTokens = source.slice(0, 4).map((c, n) => declare.parameter(`maskToken.${n}`, [c], 'vector', TOKEN));
    this.projections = [
      new Linear(declare, 'densify.0', source[0], widths[0]!),
      ...[1, 2, 3].map((n) => new Conv3(declare, `densify.${n}`, source[n]!, widths[n]!)),
    ];
    this.up = [0, 1, 2, 3].map((n) => new UpBlock(declare, `decoder.${n}`, widths[n]!, widths[n + 1]!));
    this.fusion = [1, 2, 3].map((n) => new ConvPair(declare, `fuse.${n}`, 2 * widths[n]!, widths[n]!));
    this.reconstruct = smallLinear(declare, 'reconstruct', widths[4]!, 1);
    declareUnused(declare, source[4], widths);
  }

  /** Records the whole forward pass, inputs included. */
  graph(tape: Tape, { batch, training, savings = {} }: GraphOptions): HySparKGraph {
    const { grid, config } = this;
    const options = { training, ...savings };
    const visible = brickTable(tape, 'visible', grid, batch, visibleCount(grid.cells, config.maskRatio));
    const all = brickTable(tape, 'all', grid, batch, grid.cells);
    const volume = tape.input('volume', [batch, ...grid.voxels(PATCH)]);
    const image = gatherBricks(tape, { volume }, { table: all, edge: PATCH });
    const seen = gatherBricks(tape, { volume }, { table: visible, edge: PATCH });
    const encoder = tape.scope('encoder', () => this.encoder.apply(tape, seen, visible, savings));
    const densified = this.densify(tape, encoder, { visible, all }, savings);
    const fused: Tensor[] = [];
    const decoded: Tensor[] = [];
    let y = densified[0]!;
    this.up.forEach((up, n) => {
      if (n > 0) {
        y = tape.scope(`fuse${n}`, () => {
          const both = concat(tape, { a: y, b: densified[n]! }, undefined);
          return this.fusion[n - 1]!.apply(tape, both, all, options);
        });
        fused.push(y);
      }
      y = tape.scope(`decoder${n}`, () => up.apply(tape, y, all, options));
      decoded.push(y);
    });
    const reconstruction = tape.scope('reconstruct', () => this.reconstruct.apply(tape, y));
    const loss = tape.scope('loss', () => patchLoss(tape, { prediction: reconstruction, image }, { visible }));
    return { volume, visible, all, encoder, densified, fused, decoded, reconstruction, image, loss };
  }

  /** At each scale hidden places take the mask token and the map its decoder width: tokens first, then x4, x3, x2. */
  private densify(
    tape: Tape,
    { tokens, features }: EncoderFeatures,
    tables: DensifyConv3Tables,
    { densify: saves = true, winograd }: Savings,
  ): Tensor[] {
    const sources = [tokens, features[3]!, features[2]!, features[1]!];
    return sources.map((x, n) =>
      tape.scope(`densify${n}`, () => {
        const token = this.maskTokens[n]!;
        const projection = this.projections[n]!;
        if (saves && projection instanceof Conv3) {
          return projection.densifyAndApply(tape, x, token, tables, { winograd });
        }
        const dense = densify(tape, { x, token }, tables.visible);
        return projection instanceof Linear
          ? projection.apply(tape, dense)
          : projection.apply(tape, dense, tables.all, { winograd });
      }),
    );
  }
}

/** What the reference has and never reads: kept in checkpoints so that its loader accepts them, never computed. */
function declareUnused(declare: Declarations, source: number, widths: readonly number[]): void {
  const [wide, narrow] = [widths[0]!, widths[4]!];
  const small = truncatedNormal(0.02, 2);
  const pair: [string, number][] = [
    ['1', 2 * wide],
    ['2', wide],
  ];
  for (const [n, inner] of pair) {
    declare.unused(`fuse.0.conv${n}.weight`, [27, inner, wide], 'conv3', small);
    declare.unused(`fuse.0.conv${n}.bias`, [wide], 'vector', zeros);
    declare.unused(`fuse.0.norm${n}.weight`, [wide], 'vector', ones);
    declare.unused(`fuse.0.norm${n}.bias`, [wide], 'vector', zeros);
    declare.unused(`fuse.0.norm${n}.runningMean`, [wide], 'vector', zeros, 'state');
    declare.unused(`fuse.0.norm${n}.runningVariance`, [wide], 'vector', ones, 'state');
  }
  declare.unused('densify.4.weight', [27, source, narrow], 'conv3', fanInUniform(27 * source));
  declare.unused('densify.4.bias', [narrow], 'vector', fanInUniform(27 * source));
  declare.unused('maskToken.4', [source], 'vector', TOKEN);
}

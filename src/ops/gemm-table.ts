/** The one table that says which micro-kernel runs a product on which class of adapter, and how it is launched. */

import type { ProductVariant, WeightGradientVariant } from '../../shaders/gemm/family.ts';
import { plainProductKernel, plainWeightGradientKernel } from '../../shaders/gemm/plain.wgsl.ts';
import { type StripTile, SUBGROUPS_A_WORKGROUP, stripProductKernel } from '../../shaders/gemm/strip.wgsl.ts';
import {
  type StripGradientTile,
  stripWeightGradientKernel,
  tapsOfTile,
} from '../../shaders/gemm/strip-weight-gradient.wgsl.ts';
import { tileProductKernel, tileWeightGradientKernel, type WorkgroupTile } from '../../shaders/gemm/tile.wgsl.ts';
import type { Kernel } from '../../shaders/lib/kernel.ts';
import { looksAround, PHASES } from '../../shaders/lib/rows.ts';
import { foldWorkgroups, type Target, type Workgroups } from '../tape/op.ts';

export interface ProductShape {
  readonly rows: number;
  readonly inner: number;
  readonly columns: number;
  /** Of a row's brick; 1 where rows are addressed directly. */
  readonly edge: number;
  /** Weights contiguous along columns. */
  readonly unitStride: boolean;
}

export interface WeightGradientShape {
  readonly rows: number;
  readonly inner: number;
  readonly columns: number;
  readonly edge: number;
  readonly taps: number;
}

export interface Choice {
  readonly kernel: Kernel;
  /** Left out for the plain kernels, which are elementwise. */
  readonly workgroups?: Workgroups;
  /** Uniforms beyond the family's own. */
  readonly uniforms: Readonly<Record<string, number>>;
}

export interface SplitChoice extends Choice {
  readonly splits: number;
  readonly rowsPerSplit: number;
  /** Rows of the bias's partial sums, where the kernel makes them. */
  readonly biasRows?: number;
}

export function chooseProduct(target: Target, variant: ProductVariant, shape: ProductShape): Choice {
  if (target.class === 'gpu') return tileProduct(variant, shape);
  const tile = target.class === 'plain' ? undefined : stripTile(target, variant, shape);
  return tile ? stripProduct(variant, shape, tile) : plainProduct(variant, shape);
}

export function chooseWeightGradient(
  target: Target,
  variant: WeightGradientVariant,
  shape: WeightGradientShape,
): SplitChoice {
  if (target.class === 'software-subgroups') return stripWeightGradient(target.subgroupSize, variant, shape);
  const alone = { ...variant, bias: false };
  return target.class === 'gpu' ? tileWeightGradient(alone, shape) : plainWeightGradient(alone, shape);
}

/** Tiles for real GPUs: 128 threads each; narrow layers get narrow tiles, for wasted columns cost in full. */
const WIDE: WorkgroupTile = { down: 128, across: 64, depth: 16, threadColumns: 8 };
const NARROW: WorkgroupTile = { down: 128, across: 32, depth: 16, threadColumns: 4 };
const SLIM: WorkgroupTile = { down: 256, across: 16, depth: 8, threadColumns: 4 };

function workgroupTile(columns: number): WorkgroupTile {
  return columns <= 16 ? SLIM : columns <= 32 ? NARROW : WIDE;
}

function tileProduct(variant: ProductVariant, { rows, columns, unitStride }: ProductShape): Choice {
  const tile = workgroupTile(columns);
  const [x, z] = foldWorkgroups(rows, tile.down);
  const workgroups = [x, Math.ceil(columns / tile.across) * PHASES[variant.addressing], z] as const;
  return { kernel: tileProductKernel(variant, tile, unitStride), uniforms: {}, workgroups };
}

/** Workgroups that fill a large GPU a few times over. */
const TARGET_WORKGROUPS = 1024;

function tileWeightGradient(
  variant: WeightGradientVariant,
  { rows, inner, columns, taps }: WeightGradientShape,
): SplitChoice {
  // The block's rows are input channels: a small square tile, 64 threads.
  const tile: WorkgroupTile =
    columns <= 32 || inner <= 32
      ? { down: 32, across: 32, depth: 16, threadColumns: 4 }
      : { down: 64, across: 64, depth: 16, threadColumns: 8 };
  const [x, y] = [Math.ceil(columns / tile.across), Math.ceil(inner / tile.down) * taps];
  const wanted = Math.min(
    Math.ceil(TARGET_WORKGROUPS / (x * y)),
    Math.ceil(rows / 256),
    mostSplits(taps * inner * columns),
  );
  const rowsPerSplit = Math.ceil(rows / wanted / tile.depth) * tile.depth;
  const splits = Math.ceil(rows / rowsPerSplit);
  return {
    kernel: tileWeightGradientKernel(variant, tile),
    uniforms: {},
    workgroups: [x, y, splits],
    splits,
    rowsPerSplit,
  };
}

function plainProduct(variant: ProductVariant, { rows, inner, columns, unitStride }: ProductShape): Choice {
  const vec4 = unitStride && inner % 4 === 0 && columns % 4 === 0;
  const count = Math.ceil(rows / 4) * Math.ceil(columns / 4) * PHASES[variant.addressing];
  return { kernel: plainProductKernel(variant, vec4), uniforms: { count } };
}

/**
 * Tiles of the strip kernels, measured on lavapipe (8 lanes) and SwiftShader (4 lanes). A tile's columns should cover N or divide it
 * well, for wasted columns cost in full; more strips a lane save weight loads until the accumulators spill.
 */
function stripTile(
  target: Target,
  { addressing }: ProductVariant,
  { rows, inner, columns, edge }: ProductShape,
): StripTile | undefined {
  const subgroups = target.class === 'software-subgroups';
  const lanes = subgroups ? target.subgroupSize : 8;
  const wide = lanes >= 8;
  if (looksAround(addressing)) {
    if (!subgroups) {
      const length = Math.min(edge, 4);
      const strips = addressing === 'corners' ? stripsOf(rows, length * lanes) : 2;
      return { lanes, subgroups, strips: Math.min(strips, 4), length, columns: 4, unroll: 1, vec4: false };
    }
    const across = cover(columns, wide ? [4, 6, 8, 12, 16] : [4, 6, 12, 16]);
    // A longer strip shares more of its loads; its accumulators, two children to a voxel with corners, should not all spill.
    const results = across * (addressing === 'corners' ? 2 : 1);
    let length = Math.min(edge, wide ? 16 : 8);
    while (length > 4 && length * results > 96) length /= 2;
    const most = Math.min(8 / Math.min(length, 8), Math.max(1, Math.floor(128 / (length * results))));
    const strips = Math.min(most, stripsOf(rows, length * lanes));
    return { lanes, subgroups, strips, length, columns: across, unroll: 1, vec4: false };
  }
  // Without subgroups each weight is a load again, and the plain kernel's vec4 loads win.
  if (!subgroups) return undefined;
  const across = cover(columns, wide ? [4, 8, 16, 32] : [4, 6, 12, 16, 32]);
  const vec4 = !wide && inner % 4 === 0;
  const most = wide && across === 32 ? 4 : 8;
  return {
    lanes,
    subgroups,
    strips: addressing === 'batches' ? Math.min(most, stripsOf(rows, lanes)) : most,
    length: 1,
    columns: across,
    unroll: wide ? 1 : 4,
    vec4,
  };
}

/** Strips that a lane needs for one workgroup to have all rows: the matrices of a batch are small. */
function stripsOf(rows: number, rowsOfStrips: number): number {
  return Math.ceil(rows / (rowsOfStrips * SUBGROUPS_A_WORKGROUP));
}

/** The width among `widths` (ascending) that wastes fewest of `columns`; the largest of equals. */
function cover(columns: number, widths: readonly number[]): number {
  const padded = (width: number) => Math.ceil(columns / width) * width;
  return widths.reduce((best, width) => (padded(width) <= padded(best) ? width : best));
}

function stripProduct(variant: ProductVariant, { rows, columns }: ProductShape, tile: StripTile): Choice {
  const rowsOfGroup = tile.strips * tile.length * tile.lanes * SUBGROUPS_A_WORKGROUP;
  const [x, z] = foldWorkgroups(rows, rowsOfGroup);
  const phases = PHASES[variant.addressing] / (variant.addressing === 'corners' ? 2 : 1); // children in pairs
  const workgroups = [x, Math.ceil(columns / tile.columns) * phases, z] as const;
  return { kernel: stripProductKernel(variant, tile), uniforms: { count: 0 }, workgroups };
}

function plainWeightGradient(
  variant: WeightGradientVariant,
  { rows, inner, columns, taps }: WeightGradientShape,
): SplitChoice {
  const tiles = taps * Math.ceil(inner / 4) * Math.ceil(columns / 4);
  const most = Math.min(Math.ceil(rows / 32), mostSplits(taps * inner * columns));
  const wanted = Math.max(1, Math.min(Math.ceil(4096 / tiles), most)); // threads to aim for
  const rowsPerSplit = Math.ceil(rows / wanted);
  const splits = Math.ceil(rows / rowsPerSplit);
  const count = tiles * splits;
  return { kernel: plainWeightGradientKernel(variant), uniforms: { count }, splits, rowsPerSplit };
}

function stripWeightGradient(lanes: number, variant: WeightGradientVariant, shape: WeightGradientShape): SplitChoice {
  const { rows, inner, columns, taps } = shape;
  const tile = stripGradientTile(lanes, variant, shape);
  const chunk = tile.length * lanes;
  const tiles = Math.ceil(inner / (tile.vectors * lanes)) * (taps / tapsOfTile(variant, tile.lines));
  const across = Math.ceil(columns / tile.columns);
  // Some 64 units of work, four to a workgroup, keep a few cores equally busy; each should have at least 4 chunks of strips.
  const wanted = Math.min(
    Math.ceil(64 / (tiles * across)),
    Math.floor(rows / (4 * chunk)),
    mostSplits(taps * inner * columns),
  );
  // Whole workgroups: idle subgroups would compute for nothing.
  let splits = Math.max(1, wanted);
  while ((splits * tiles) % SUBGROUPS_A_WORKGROUP !== 0 && splits < wanted + SUBGROUPS_A_WORKGROUP) splits++;
  const rowsPerSplit = Math.ceil(rows / (splits * chunk)) * chunk;
  splits = Math.ceil(rows / rowsPerSplit);
  const workgroups = [Math.ceil((splits * tiles) / SUBGROUPS_A_WORKGROUP), across, 1] as const;
  const kernel = stripWeightGradientKernel(variant, tile);
  const biasRows = variant.bias ? splits * tile.length : undefined;
  return { kernel, uniforms: { count: 0, lanes }, workgroups, splits, rowsPerSplit, biasRows };
}

function stripGradientTile(
  lanes: number,
  { addressing }: WeightGradientVariant,
  { inner, columns, edge }: WeightGradientShape,
): StripGradientTile {
  const wide = lanes >= 8;
  const needed = Math.ceil(inner / lanes);
  if (looksAround(addressing)) {
    const across = cover(columns, wide ? [4, 6, 8, 12, 16] : [4, 6, 8, 12]);
    const [lines, length] = addressing === 'windows' ? [2, Math.min(edge, 2)] : [3, Math.min(edge, 4)];
    return { lanes, vectors: 1, lines, length, columns: across };
  }
  const lines = 1;
  if (wide) {
    const vectors = needed >= 4 ? 4 : Math.min(needed, 2);
    return { lanes, vectors, lines, length: 1, columns: cover(columns, [8, 16, 32]) };
  }
  const vectors = needed >= 8 ? 8 : Math.min(needed, 4);
  return { lanes, vectors, lines, length: 4, columns: cover(columns, [4, 8, 16]) };
}

/** Partial sums may take at most 32 MiB: the price of determinism is kept small against activations. */
function mostSplits(weights: number): number {
  return Math.max(1, Math.floor((32 * 1024 * 1024) / (weights * 4)));
}

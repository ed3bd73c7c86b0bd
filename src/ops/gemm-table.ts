/** The one table that says which micro-kernel runs a product on which class of adapter, and how it is launched. */

import type { ProductVariant, WeightGradientVariant } from '../../shaders/gemm/family.ts';
import { plainProductKernel, plainWeightGradientKernel } from '../../shaders/gemm/plain.wgsl.ts';
import { type Kernel, WORKGROUP } from '../../shaders/lib/kernel.ts';
import { foldWorkgroups, type Target, type Workgroups } from '../tape/op.ts';

export interface ProductShape {
  readonly rows: number;
  readonly inner: number;
  readonly columns: number;
  /** Weights contiguous along columns. */
  readonly unitStride: boolean;
}

export interface WeightGradientShape {
  readonly rows: number;
  readonly inner: number;
  readonly columns: number;
  readonly taps: number;
}

export interface Choice {
  readonly kernel: Kernel;
  /** Tiles, which the kernel gets as its uniform `count`. */
  readonly count: number;
  readonly workgroups: Workgroups;
}

export interface SplitChoice extends Choice {
  readonly splits: number;
  readonly rowsPerSplit: number;
}

export function chooseProduct(_target: Target, variant: ProductVariant, shape: ProductShape): Choice {
  const { rows, inner, columns, unitStride } = shape;
  const vec4 = unitStride && inner % 4 === 0 && columns % 4 === 0;
  const count = Math.ceil(rows / 4) * Math.ceil(columns / 4);
  return { kernel: plainProductKernel(variant, vec4), count, workgroups: foldWorkgroups(count, WORKGROUP) };
}

export function chooseWeightGradient(
  _target: Target,
  variant: WeightGradientVariant,
  shape: WeightGradientShape,
): SplitChoice {
  const { rows, inner, columns, taps } = shape;
  const tiles = taps * Math.ceil(inner / 4) * Math.ceil(columns / 4);
  const splits = splitRows(rows, tiles, 4096, taps * inner * columns);
  const count = tiles * splits.splits;
  return { kernel: plainWeightGradientKernel(variant), count, workgroups: foldWorkgroups(count, WORKGROUP), ...splits };
}

/** Partial sums may take at most this many bytes: the price of determinism is kept small against activations. */
const MOST_PARTIAL_BYTES = 32 * 1024 * 1024;

/** Cuts `rows` so that `tiles` · splits reaches `threads`, with at least 32 rows a split and bounded partial sums. */
function splitRows(
  rows: number,
  tiles: number,
  threads: number,
  weights: number,
): { splits: number; rowsPerSplit: number } {
  const most = Math.max(1, Math.floor(MOST_PARTIAL_BYTES / (weights * 4)));
  const wanted = Math.min(Math.ceil(threads / tiles), Math.ceil(rows / 32), most);
  const rowsPerSplit = Math.ceil(rows / Math.max(1, wanted));
  return { splits: Math.ceil(rows / rowsPerSplit), rowsPerSplit };
}

/**
 * How products are launched on real GPUs: tiles in workgroup memory. Which tile is best differs by a factor of two between GPUs, so
 * a few that fit a shape are offered to the tuner, first the one that the table's figures make the fastest.
 */

import type {
  ProductShape,
  ProductVariant,
  WeightGradientShape,
  WeightGradientVariant,
} from '../../shaders/gemm/family.ts';
import { tileProductKernel } from '../../shaders/gemm/tile.wgsl.ts';
import { spreadOf, type WorkgroupTile } from '../../shaders/gemm/tile-form.ts';
import {
  gradientTileMemory,
  tapsOfBlock,
  tileWeightGradientKernel,
} from '../../shaders/gemm/tile-weight-gradient.wgsl.ts';
import { isBatched, PHASES, TAPS } from '../../shaders/lib/rows.ts';
import type { Target } from '../tape/op.ts';
import {
  type Candidate,
  type Choice,
  mostSplits,
  REORDERED,
  type SplitChoice,
  splitRows,
  USUAL_WORKGROUPS,
  WORKGROUP_MEMORY,
  workgroupThreads,
} from './gemm-choice.ts';
import { matrixProducts, matrixWeightGradients } from './gemm-matrices.ts';

const tile = (
  down: number,
  across: number,
  depth: number,
  threadRows: number,
  threadColumns: number,
): WorkgroupTile => ({ down, across, depth, threadRows, threadColumns });

/**
 * For products: the more a tile covers, the fewer times factors are read, and the fewer workgroups there are. Beside each its speed on a GPU that it
 * fills, as a share of the best one's: measured on an H100.
 */
const PRODUCT_TILES: readonly (readonly [WorkgroupTile, number])[] = [
  [tile(128, 96, 16, 8, 8), 1],
  [tile(64, 96, 16, 8, 8), 1],
  [tile(128, 96, 16, 8, 12), 1],
  [tile(128, 64, 16, 8, 8), 0.97],
  [tile(64, 64, 16, 8, 8), 0.97],
  [tile(128, 48, 16, 8, 8), 1],
  [tile(64, 48, 16, 8, 4), 0.9],
  [tile(128, 32, 16, 8, 4), 0.8],
  [tile(64, 32, 32, 4, 4), 0.7],
  [tile(256, 16, 8, 8, 4), 0.6],
  [tile(128, 16, 16, 8, 4), 0.6],
];
export const TILES = PRODUCT_TILES.map(([t]) => t);

/** Candidates for one shape: more cost more of the tuner's time than they win. */
const MOST = 5;
/** Workgroups that a large GPU runs side by side: two for each of its processors. */
const ENOUGH_WORKGROUPS = 264;

function nameOf({ down, across, depth, threadRows, threadColumns }: WorkgroupTile): string {
  return `${down}x${across}x${depth} by ${threadRows}x${threadColumns}`;
}

function padded(size: number, block: number): number {
  return Math.ceil(size / block) * block;
}

/** Multiply-adds that a result of a split needs at least, to be worth writing and adding up. */
const LEAST_OF_A_SPLIT = 256;

function workgroupsOf(t: WorkgroupTile, { addressing }: ProductVariant, { rows, columns }: ProductShape): number {
  return Math.ceil(rows / t.down) * Math.ceil(columns / t.across) * PHASES[addressing];
}

/** Into how many the taps of each phase are shared out, so that about twice as many workgroups run as fill a GPU; 1 where they do already. */
function splitsFor(t: WorkgroupTile, variant: ProductVariant, shape: ProductShape): number {
  const { rows, inner, columns } = shape;
  const phases = PHASES[variant.addressing];
  const taps = TAPS[variant.addressing] / phases;
  const workgroups = workgroupsOf(t, variant, shape);
  if (workgroups >= ENOUGH_WORKGROUPS) return 1;
  const wanted = Math.min(
    Math.ceil((2 * ENOUGH_WORKGROUPS) / workgroups),
    taps,
    Math.floor((taps * inner) / LEAST_OF_A_SPLIT),
    mostSplits(phases * rows * columns),
  );
  return Math.ceil(taps / Math.ceil(taps / Math.max(1, wanted))); // of as many taps each as that makes
}

export function tileProducts(target: Target, variant: ProductVariant, shape: ProductShape): readonly Candidate[] {
  const { rows, columns } = shape;
  // The work, rows and columns beyond the last included, over the workgroups that share it; among equals by the table's order.
  const ways = PRODUCT_TILES.flatMap(([t, speed]) => {
    const workgroups = workgroupsOf(t, variant, shape);
    const work = padded(rows, t.down) * padded(columns, t.across);
    const most = splitsFor(t, variant, shape);
    return [...new Set([most, 1])].map((splits) => ({
      t,
      splits,
      cost: work / speed / Math.min(workgroups * splits, ENOUGH_WORKGROUPS),
    }));
  });
  const best = ways.sort((a, b) => a.cost - b.cost).slice(0, MOST);
  return [
    ...best.map(({ t, splits }) => productBy(t, splits, variant, shape)),
    ...matrixProducts(target, variant, shape),
  ];
}

/** @param splits of the taps of each phase, 1 for a kernel that stores the results itself */
export function productBy(
  t: WorkgroupTile,
  splits: number,
  variant: ProductVariant,
  { rows, columns, unitStride, vectors }: ProductShape,
): Candidate {
  const phases = PHASES[variant.addressing];
  const isSplit = splits > 1;
  return {
    name: `${nameOf(t)}${isSplit ? `, taps in ${splits}` : ''}`,
    tolerance: REORDERED,
    choice(some = rows): Choice {
      return {
        kernel: tileProductKernel(variant, t, unitStride, vectors, isSplit),
        uniforms: isSplit ? { tapsPerSplit: Math.ceil(TAPS[variant.addressing] / phases / splits) } : {},
        workgroups: [Math.ceil(some / t.down), Math.ceil(columns / t.across) * splits * phases, 1],
        ...(isSplit && { splits }),
      };
    },
  };
}

/** Blocks of the weight gradient by their columns. Their rows are taps × input channels, or with batches input channels. */
const GRADIENT_COLUMNS = [96, 64, 48, 32, 16];

/** Fewer leave less to add up, more hide more latency. */
const FEW_WORKGROUPS = 256;
const MANY_WORKGROUPS = 4096;

export function tileWeightGradients(
  target: Target,
  variant: WeightGradientVariant,
  shape: WeightGradientShape,
): readonly Candidate<SplitChoice>[] {
  const { inner, columns } = shape;
  const joint = isBatched(variant.addressing) ? inner : shape.taps * inner;
  const least = Math.min(...GRADIENT_COLUMNS.map((across) => padded(columns, across)));
  const across = GRADIENT_COLUMNS.find((c) => padded(columns, c) === least)!;
  const memory = (t: WorkgroupTile) => gradientTileMemory(t, tapsOfBlock(variant, inner, t.down));
  const fits = (t: WorkgroupTile) => joint > t.down / 2 && memory(t) <= WORKGROUP_MEMORY;
  const large = [128, 64].map((down) => tile(down, across, 8, 8, 4)).filter(fits);
  if (across === 96) large.reverse(); // 128 × 96 takes 1.05 to 1.4 times as long on an H100
  const [usual = tile(32, across, 8, 8, 4), other] = large;
  const most = workgroupThreads(target);
  const tiles = [usual, { ...usual, threadColumns: across > 16 ? 8 : 4 }, ...(other ? [other] : [])].filter(
    (t) => spreadOf(t).threads <= most,
  );
  const [first] = tiles as [WorkgroupTile];
  const ways: (readonly [WorkgroupTile, number])[] = [
    ...tiles.map((t) => [t, USUAL_WORKGROUPS] as const),
    [first, MANY_WORKGROUPS],
    [first, FEW_WORKGROUPS],
  ];
  const known = new Set<string>();
  const candidates = ways.flatMap(([t, workgroups]) => {
    const candidate = weightGradientBy(t, workgroups, variant, shape);
    const same = `${nameOf(t)} ${candidate.choice().splits}`;
    if (known.has(same)) return []; // as few rows as that are cut alike
    known.add(same);
    return [candidate];
  });
  return [...candidates, ...matrixWeightGradients(target, variant, shape)];
}

export function weightGradientBy(
  t: WorkgroupTile,
  workgroups: number,
  variant: WeightGradientVariant,
  shape: WeightGradientShape,
): Candidate<SplitChoice> {
  const { inner, columns, taps, vectors } = shape;
  const isBatches = isBatched(variant.addressing);
  const y = Math.ceil((isBatches ? inner : taps * inner) / t.down) * (isBatches ? taps : 1);
  const blocks = { x: Math.ceil(columns / t.across), y, depth: t.depth };
  return {
    name: `${nameOf(t)}, ${workgroups} workgroups`,
    tolerance: REORDERED,
    choice: (rows = shape.rows) => ({
      kernel: tileWeightGradientKernel(variant, t, tapsOfBlock(variant, inner, t.down), vectors),
      uniforms: {},
      ...splitRows(blocks, workgroups, { ...shape, rows }),
    }),
  };
}

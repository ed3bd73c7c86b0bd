/** How products are launched on software adapters: by strips, measured on lavapipe (8 lanes) and SwiftShader (4 lanes). */

import type {
  ProductShape,
  ProductVariant,
  WeightGradientShape,
  WeightGradientVariant,
} from '../../shaders/gemm/family.ts';
import { type StripTile, SUBGROUPS_A_WORKGROUP, stripProductKernel } from '../../shaders/gemm/strip.wgsl.ts';
import {
  type StripGradientTile,
  stripWeightGradientKernel,
  tapsOfTile,
} from '../../shaders/gemm/strip-weight-gradient.wgsl.ts';
import { isBatched, looksAround, PHASES } from '../../shaders/lib/rows.ts';
import { foldWorkgroups, type Target } from '../tape/op.ts';
import { type Choice, mostSplits, type SplitChoice } from './gemm-choice.ts';

/**
 * The tile of a product, undefined where the plain kernel is faster. A tile's columns should cover N or divide it
 * well, for wasted columns cost in full; more strips a lane save weight loads until the accumulators spill.
 */
export function stripTile(
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
    // Some 8 voxels a lane, where so many accumulators allow it.
    const most = Math.min(Math.ceil(8 / length), Math.max(1, Math.floor(128 / (length * results))));
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
    strips: isBatched(addressing) ? Math.min(most, stripsOf(rows, lanes)) : most,
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

export function stripProduct(variant: ProductVariant, { rows, columns }: ProductShape, tile: StripTile): Choice {
  const rowsOfGroup = tile.strips * tile.length * tile.lanes * SUBGROUPS_A_WORKGROUP;
  const [x, z] = foldWorkgroups(rows, rowsOfGroup);
  const phases = PHASES[variant.addressing] / (variant.addressing === 'corners' ? 2 : 1); // children in pairs
  const workgroups = [x, Math.ceil(columns / tile.columns) * phases, z] as const;
  return { kernel: stripProductKernel(variant, tile), uniforms: { count: 0 }, workgroups };
}

export function stripWeightGradient(
  lanes: number,
  variant: WeightGradientVariant,
  shape: WeightGradientShape,
): SplitChoice {
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
    const isFiner = addressing === 'windows';
    if (wide) {
      const [lines, length] = isFiner ? [2, 2] : [3, 4];
      return { lanes, vectors: 1, lines, length: Math.min(edge, length), columns: cover(columns, [4, 6, 8, 12, 16]) };
    }
    // Short strips leave room for more columns. Longer ones would be faster yet on SwiftShader, and take it twice as long to build.
    const across = cover(columns, edge > 2 ? [4, 6, 8, 12] : [4, 6, 8, 12, 16, 24]);
    const [lines, vectors] = isFiner ? [2, 1] : needed % 3 === 0 ? [1, 3] : [3, 1];
    const length = !isFiner && across <= 6 ? 8 : 4;
    return { lanes, vectors, lines, length: Math.min(edge, length), columns: across };
  }
  const lines = 1;
  if (wide) {
    const vectors = needed >= 4 ? 4 : Math.min(needed, 2);
    return { lanes, vectors, lines, length: 1, columns: cover(columns, [8, 16, 32]) };
  }
  const vectors = needed >= 8 ? 8 : Math.min(needed, 4);
  return { lanes, vectors, lines, length: 4, columns: cover(columns, [4, 8, 16]) };
}

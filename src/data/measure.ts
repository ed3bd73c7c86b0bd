/** The distribution of a scan's HU, and whether it can be CT at all. */

import { voxelSize } from './affine.ts';
import { AIR_HU, type Scan } from './scan.ts';

export interface HuStatistics {
  readonly min: number;
  readonly max: number;
  /** Percentiles 1, 50 and 99, to 1 HU. */
  readonly p1: number;
  readonly p50: number;
  readonly p99: number;
  /** Different values, counted up to `DISTINCT_CAP`. */
  readonly distinct: number;
  /** Whether every value is a whole number. */
  readonly whole: boolean;
}

/** A label map has fewer different values than this, a CT more. */
const DISTINCT_CAP = 150;
/** The fewest voxels along an axis that make a volume. */
const THINNEST = 4;
/** Voxels and bodies are smaller than this. */
const LARGEST_VOXEL_MM = 30;
const LARGEST_EXTENT_MM = 3000;
/** CT has air or fat somewhere. */
const HIGHEST_MINIMUM = -100;
/** Metal reaches 3071 HU, or 30000 on an extended scale, but fills no hundredth of a scan. */
const HIGHEST_P99 = 4000;
/** Percentiles are counted in bins of 1 HU from here. */
const LOWEST_BIN = -4096;
const BINS = 12288;

/** One pass over the voxels. Those that are not finite count as air, but for `min`, `max`, `distinct` and `whole`. */
export function measure(scan: Scan): HuStatistics {
  const bins = new Float64Array(BINS);
  const distinct = new Set<number>();
  let min = Number.POSITIVE_INFINITY;
  let max = Number.NEGATIVE_INFINITY;
  let whole = true;
  let air = 0;
  const count = (hu: number, times: number) => {
    bins[Math.max(0, Math.min(BINS - 1, Math.round(hu) - LOWEST_BIN))]! += times;
    if (hu === AIR_HU) air += times;
    else see(hu);
  };
  const see = (hu: number) => {
    if (hu < min) min = hu;
    if (hu > max) max = hu;
    if (distinct.size < DISTINCT_CAP) distinct.add(hu);
    if (whole && !Number.isInteger(hu)) whole = false;
  };
  const { voxels, table } = scan;
  if (table) {
    const times = new Float64Array(table.length);
    for (let i = 0; i < voxels.length; i++) times[voxels[i]!]!++;
    for (let bits = 0; bits < times.length; bits++) if (times[bits]! > 0) count(table[bits]!, times[bits]!);
  } else {
    for (let i = 0; i < voxels.length; i++) count(voxels[i]!, 1);
  }
  // What stands for voxels that are not finite would make a CT of an MR scan with such a background.
  if (air > scan.nonFinite || air === voxels.length) see(AIR_HU);
  const percentile = (p: number) => {
    let left = (p / 100) * voxels.length;
    for (let b = 0; b < BINS; b++) {
      left -= bins[b]!;
      if (left <= 0) return b + LOWEST_BIN;
    }
    return max;
  };
  return { min, max, p1: percentile(1), p50: percentile(50), p99: percentile(99), distinct: distinct.size, whole };
}

/** Why the scan is no CT to train on, in a phrase; undefined when it may be one. `lowest`: the window's lower end, HU. */
export function notCtReason(scan: Scan, hu: HuStatistics, lowest: number): string | undefined {
  const { shape, affine } = scan.grid;
  const sizes = voxelSize(affine);
  if (sizes.some((s) => s > LARGEST_VOXEL_MM) || sizes.some((s, k) => s * shape[k]! > LARGEST_EXTENT_MM)) {
    return `voxels of ${sizes.map((s) => s.toPrecision(3)).join(' × ')} mm: the sizes in its header are wrong`;
  }
  const range = `values ${round(hu.min)} to ${round(hu.max)}`;
  const thinnest = Math.min(...shape);
  if (thinnest === 1) return `a single slice (${shape.join(' × ')}): a localiser or a lone image`;
  if (thinnest < THINNEST) return `only ${thinnest} slices (${shape.join(' × ')})`;
  if (scan.nonFinite === scan.voxels.length) return 'no finite voxel';
  if (hu.min === hu.max) return `every voxel is ${round(hu.min)}`;
  if (hu.whole && hu.min >= 0 && hu.distinct < DISTINCT_CAP) {
    return `${hu.distinct} different whole values from ${hu.min} to ${hu.max}: a label map`;
  }
  if (hu.max <= lowest) return `nothing above ${lowest} HU (${range})`;
  if (hu.min > HIGHEST_MINIMUM)
    return `${range}, no air: not CT in Hounsfield units (MR, PET, or CT without its offset)`;
  if (hu.p99 > HIGHEST_P99) return `${range}, far above bone: not CT in Hounsfield units`;
  return undefined;
}

function round(value: number): string {
  return Math.abs(value) >= 10 || Number.isInteger(value) ? value.toFixed(0) : value.toPrecision(3);
}

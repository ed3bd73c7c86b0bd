/** A scan in memory: voxels as stored, and how to read Hounsfield units out of them. */

import type { Grid } from './orientation.ts';

/** Hounsfield units of air, also put in place of voxels that are not finite. */
export const AIR_HU = -1024;

export interface Scan {
  readonly grid: Grid;
  /** 8- and 16-bit voxels stay as they are, seen as unsigned; wider ones are float32 HU. */
  readonly voxels: StoredVoxels;
  /**
   * HU of each of the 2^8 or 2^16 bit patterns, signed or not; absent for float32. A table applies slope and
   * intercept without another copy of the volume.
   */
  readonly table?: Float32Array;
  /** What the file said, for the audit. */
  readonly dtype: string;
  /** How many voxels were NaN or infinite (now `AIR_HU`). */
  readonly nonFinite: number;
  /** What was unusual, one phrase each. */
  readonly notes: readonly string[];
}

export type StoredVoxels = Uint8Array | Uint16Array | Float32Array;

/** HU of the stored entry `index`. For loops over whole volumes see `resample` and `measure`. */
export function valueAt({ voxels, table }: Scan, index: number): number {
  return table ? table[voxels[index]!]! : voxels[index]!;
}

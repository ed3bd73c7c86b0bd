/** Hounsfield units to the network's 0..1. */

/** The window of the reference, in HU: fat and soft tissue up to contrast-filled vessels. */
export const WINDOW_HU = [-175, 250] as const;

/** A window in HU: [lowest, highest]. */
export type WindowHu = readonly [number, number];

/** clamp((HU - low) / (high - low), 0, 1) in place, each operation rounded to float32. */
export function applyWindow(voxels: Float32Array, [low, high]: WindowHu): void {
  const width = Math.fround(high - low);
  for (let i = 0; i < voxels.length; i++) {
    voxels[i] = Math.max(0, Math.min(1, Math.fround(voxels[i]! - low) / width));
  }
}

/** Reading parts of a prepared volume, from memory or from the cache. */

import type { Triple } from './affine.ts';
import type { PreparedVolume } from './prepare.ts';

export interface VolumeReader {
  readonly shape: Triple;
  /** Voxels above 0 in each plane of constant x. */
  readonly planes: Uint32Array;
  /** Planes `start` up to but not including `end`: `[end - start, ny, nz]`. */
  read(start: number, end: number): Promise<Uint16Array>;
}

export function memoryReader({ shape, planes, voxels }: PreparedVolume): VolumeReader {
  const size = shape[1] * shape[2];
  return { shape, planes, read: async (start, end) => voxels.subarray(start * size, end * size) };
}

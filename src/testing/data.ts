/** Small generated scans and data workers without threads, for tests of the data path. */

import type { Triple } from '../data/affine.ts';
import { makePhantom } from '../data/phantom.ts';
import { ANATOMIES } from '../data/phantom-anatomy.ts';
import type { FoundFile, Platform } from '../data/source.ts';
import { DataPool } from '../data/worker/pool.ts';
import { createDataService } from '../data/worker/service.ts';
import { encodeNifti } from '../formats/nifti-write.ts';

/** Files in memory; DICOM is refused. */
export const memoryPlatform: Platform = {
  async open(handle) {
    if (handle instanceof Blob) return handle;
    throw new Error('this test has its files in memory');
  },
  async convertDicom() {
    return [];
  },
};

/** A pool whose workers are plain calls; `size` of them run at once. */
export function directPool(platform: Platform = memoryPlatform, size = 1): DataPool {
  const died = new Promise<string>(() => undefined);
  return new DataPool(() => ({ service: createDataService(platform), died, close: () => undefined }), size);
}

/** A generated scan as the bytes of a `.nii` file. */
export function phantomFile(seed: number, shape: Triple = [40, 32, 24]): Uint8Array<ArrayBuffer> {
  const anatomy = ANATOMIES[seed % ANATOMIES.length]!;
  const spacing: Triple = [360 / shape[0], 270 / shape[1], 200 / shape[2]];
  const { affine, hu } = makePhantom({ seed, anatomy, shape, spacing, orientation: 'LPS' });
  return encodeNifti({ shape, affine, voxels: hu, fastest: 'x' });
}

export function fileOf(path: string, bytes: Uint8Array<ArrayBuffer>): FoundFile {
  return { path, size: bytes.length, handle: new Blob([bytes]) };
}

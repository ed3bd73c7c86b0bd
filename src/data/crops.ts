/** Training crops: around drawn foreground voxels, flipped at random. */

import { HysparkError } from '../errors.ts';
import type { Random } from '../random.ts';
import { perAxis, type Triple } from './affine.ts';
import { cropStart } from './crop.ts';
import type { VolumeReader } from './volume-reader.ts';

/** How likely a crop is mirrored along x, y and z: the reference's. */
export const FLIP_PROBABILITIES: Triple = [0.2, 0.2, 0.1];

export interface Crop {
  /** Values in 0..1, `[size, size, size]`, z fastest. */
  readonly voxels: Float32Array<ArrayBuffer>;
  /** First voxel of the crop in the prepared volume. */
  readonly start: Triple;
  readonly flips: readonly [boolean, boolean, boolean];
}

/**
 * One crop of `size`³. Draws: counter 0 the voxel, 1 to 3 the flips. Error `bad-state` when the volume is smaller
 * than the crop (it is padded when it is prepared).
 */
export async function drawCrop(reader: VolumeReader, size: number, flips: Triple, random: Random): Promise<Crop> {
  const { shape } = reader;
  if (shape.some((n) => n < size)) {
    throw new HysparkError('bad-state', {
      doing: 'cutting a crop',
      got: `${shape.join(' × ')}`,
      need: `${size}³ or more`,
    });
  }
  const centre = await drawForeground(reader, random);
  const start = cropStart(centre, size, shape);
  const mirrored = [0, 1, 2].map((k) => random.uniform(1 + k) < flips[k]!) as [boolean, boolean, boolean];
  const slab = await reader.read(start[0], start[0] + size);
  return { voxels: cut(slab, shape, start, size, mirrored), start, flips: mirrored };
}

/** A voxel above 0, all of them equally likely: the plane by its share, then the voxel within the plane. */
async function drawForeground(reader: VolumeReader, random: Random): Promise<Triple> {
  const { planes, shape } = reader;
  const total = planes.reduce((sum, count) => sum + count, 0);
  if (total === 0) throw new HysparkError('set-aside', { doing: 'cutting a crop', got: 'a volume without foreground' });
  let rank = random.int(0, total);
  let x = 0;
  while (rank >= planes[x]!) rank -= planes[x++]!;
  const plane = await reader.read(x, x + 1);
  for (let at = 0; at < plane.length; at++) {
    if (plane[at]! > 0 && rank-- === 0) return [x, Math.floor(at / shape[2]), at % shape[2]];
  }
  throw new HysparkError('bad-state', { doing: 'cutting a crop', got: 'a cached volume that does not fit its counts' });
}

/** `slab` holds planes start[0] .. start[0] + size - 1 of the volume. */
function cut(
  slab: Uint16Array,
  [, ny, nz]: Triple,
  start: Triple,
  size: number,
  flips: readonly boolean[],
): Float32Array<ArrayBuffer> {
  const voxels = new Float32Array(size ** 3);
  const from = perAxis((k) => (flips[k] ? size - 1 : 0));
  const step = perAxis((k) => (flips[k] ? -1 : 1));
  let at = 0;
  for (let x = 0; x < size; x++) {
    const px = from[0] + step[0] * x;
    for (let y = 0; y < size; y++) {
      const py = start[1] + from[1] + step[1] * y;
      let source = (px * ny + py) * nz + start[2] + from[2];
      for (let z = 0; z < size; z++, source += step[2]) voxels[at++] = slab[source]! / 65535;
    }
  }
  return voxels;
}

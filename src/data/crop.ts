/** Boxes: cutting a volume to what is not air, padding it, and cutting training crops out of it. */

import { apply, column, fromColumns, perAxis, type Triple } from './affine.ts';
import type { Volume } from './resample.ts';

/** Voxels `start` up to but not including `end`, along each axis. */
export interface Box {
  readonly start: Triple;
  readonly end: Triple;
}

/** The smallest box that holds every voxel above 0; undefined when there is none. */
export function foregroundBox(voxels: Float32Array, [nx, ny, nz]: Triple): Box | undefined {
  const start = [nx, ny, nz];
  const end = [0, 0, 0];
  for (let x = 0; x < nx; x++) {
    for (let y = 0; y < ny; y++) {
      const row = (x * ny + y) * nz;
      let z = 0;
      while (z < nz && !(voxels[row + z]! > 0)) z++;
      if (z === nz) continue;
      let last = nz - 1;
      while (!(voxels[row + last]! > 0)) last--;
      start[0] = Math.min(start[0]!, x);
      start[1] = Math.min(start[1]!, y);
      start[2] = Math.min(start[2]!, z);
      end[0] = x + 1;
      end[1] = Math.max(end[1]!, y + 1);
      end[2] = Math.max(end[2]!, last + 1);
    }
  }
  if (end[0] === 0) return undefined;
  return { start: start as unknown as Triple, end: end as unknown as Triple };
}

/** Sizes of `box`. */
function boxShape(box: Box): Triple {
  return perAxis((k) => box.end[k]! - box.start[k]!);
}

/** Voxels put in front of an axis of `n` to bring it to `least`: the smaller half of what is missing. */
function padFront(n: number, least: number): number {
  return Math.floor(Math.max(0, least - n) / 2);
}

/**
 * The part of `volume` in `box`, with zeros around it so that no axis is shorter than `least` voxels. `convert`
 * turns a value into an element of `make(count)`.
 */
export function cropAndPad<T extends Float32Array | Uint16Array>(
  volume: Volume,
  box: Box,
  least: number,
  make: (count: number) => T,
  convert: (value: number) => number,
): { shape: Triple; voxels: T; affine: Volume['affine'] } {
  const inner = boxShape(box);
  const shape = perAxis((k) => Math.max(inner[k]!, least));
  const front = perAxis((k) => padFront(inner[k]!, least));
  const voxels = make(shape[0] * shape[1] * shape[2]);
  const [, ny, nz] = volume.shape;
  for (let x = 0; x < inner[0]; x++) {
    for (let y = 0; y < inner[1]; y++) {
      const from = ((x + box.start[0]) * ny + y + box.start[1]) * nz + box.start[2];
      const to = ((x + front[0]) * shape[1] + y + front[1]) * shape[2] + front[2];
      for (let z = 0; z < inner[2]; z++) voxels[to + z] = convert(volume.voxels[from + z]!);
    }
  }
  const origin = apply(
    volume.affine,
    perAxis((k) => box.start[k]! - front[k]!),
  );
  const [x, y, z] = [column(volume.affine, 0), column(volume.affine, 1), column(volume.affine, 2)];
  return { shape, voxels, affine: fromColumns(x, y, z, origin) };
}

/** First voxel of the crop of `size`³ around `centre`, moved inwards where it would leave the volume. */
export function cropStart(centre: Triple, size: number, shape: Triple): Triple {
  return perAxis((k) => Math.max(0, Math.min(centre[k]! - Math.floor(size / 2), shape[k]! - size)));
}

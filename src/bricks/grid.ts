/** The brick grid: how many bricks a crop has on each axis. A brick is a patch of 16³ voxels at full resolution. */

import { HysparkError } from '../errors.ts';

/** Voxels on a patch's side at full resolution: HySparK's patch size and the encoder's total stride. */
export const PATCH = 16;

export class BrickGrid {
  /** @param x, y, z bricks on each axis. A brick's cell index is (i·y + j)·z + k, z fastest. */
  constructor(
    readonly x: number,
    readonly y: number,
    readonly z: number,
  ) {
    if (![x, y, z].every((n) => Number.isInteger(n) && n >= 1)) {
      throw new HysparkError('bad-argument', {
        doing: 'Brick grid',
        got: `${x} × ${y} × ${z}`,
        need: 'at least one brick an axis',
      });
    }
  }

  /** The grid of a crop of so many voxels an axis, each a multiple of 16. */
  static ofCrop(crop: readonly [number, number, number] | number): BrickGrid {
    const sizes = typeof crop === 'number' ? [crop, crop, crop] : crop;
    if (!sizes.every((n) => Number.isInteger(n) && n > 0 && n % PATCH === 0)) {
      throw new HysparkError('bad-argument', {
        doing: 'Crop size',
        got: sizes.join(' × '),
        need: `multiples of ${PATCH} voxels on every axis`,
      });
    }
    const [x, y, z] = sizes.map((n) => n / PATCH) as [number, number, number];
    return new BrickGrid(x, y, z);
  }

  /** Bricks of one sample. */
  get cells(): number {
    return this.x * this.y * this.z;
  }

  /** Voxels of one sample at a stage whose bricks have `edge` voxels a side, as [x, y, z]. */
  voxels(edge: number): [number, number, number] {
    return [this.x * edge, this.y * edge, this.z * edge];
  }

  equals(other: BrickGrid): boolean {
    return this.x === other.x && this.y === other.y && this.z === other.z;
  }
}

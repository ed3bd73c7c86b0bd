/** Which way a scan lies: axis codes, and the view of its voxels along RAS axes. Nothing is copied. */

import { type Affine, column, fromColumns, nearestRotation, perAxis, type Triple } from './affine.ts';

/** How stored axes become RAS axes: RAS axis `k` is stored axis `axes[k]`, reversed where `flips[k]`. */
export interface RasOrder {
  readonly axes: Triple;
  readonly flips: readonly [boolean, boolean, boolean];
}

/**
 * The reordering that brings a grid nearest to RAS. Each stored axis in turn takes the world axis with which its
 * direction (in the nearest rotation of the affine) agrees best, among those still free: nibabel's `io_orientation`.
 */
export function rasOrder(affine: Affine): RasOrder {
  const directions = nearestRotation(affine);
  const axes = [-1, -1, -1];
  const flips = [false, false, false];
  for (let stored = 0; stored < 3; stored++) {
    const direction = directions[stored]!;
    let world = -1;
    for (let w = 0; w < 3; w++) {
      if (axes[w] !== -1) continue;
      if (world === -1 || Math.abs(direction[w]!) > Math.abs(direction[world]!)) world = w;
    }
    axes[world] = stored;
    flips[world] = direction[world]! < 0;
  }
  return { axes: axes as unknown as Triple, flips: flips as unknown as RasOrder['flips'] };
}

/** Where each stored axis points, e.g. `LPS`: letters R/L, A/P, S/I, as nibabel's `aff2axcodes`. */
export function axisCodes(affine: Affine): string {
  const { axes, flips } = rasOrder(affine);
  const codes = ['', '', ''];
  for (let world = 0; world < 3; world++) codes[axes[world]!] = ['RL', 'AP', 'SI'][world]![flips[world] ? 1 : 0]!;
  return codes.join('');
}

/** A grid of voxels within a flat array: voxel (i, j, k) is entry `offset + i strides[0] + j strides[1] + k strides[2]`. */
export interface Grid {
  readonly shape: Triple;
  readonly strides: Triple;
  readonly offset: number;
  /** Voxel indices to mm. */
  readonly affine: Affine;
}

/** The grid of voxels stored with x fastest, as NIfTI does. */
export function storedGrid(shape: Triple, affine: Affine): Grid {
  return { shape, strides: [1, shape[0], shape[0] * shape[1]], offset: 0, affine };
}

/** The same voxels seen along RAS axes, with the affine to match. */
export function toRas(grid: Grid): Grid {
  const { axes, flips } = rasOrder(grid.affine);
  const shape = perAxis((k) => grid.shape[axes[k]!]!);
  const strides = perAxis((k) => grid.strides[axes[k]!]! * (flips[k] ? -1 : 1));
  let offset = grid.offset;
  let origin = column(grid.affine, 3);
  for (let k = 0; k < 3; k++) {
    if (!flips[k]) continue;
    // The first voxel is now the last of the stored axis.
    const last = shape[k]! - 1;
    offset += last * grid.strides[axes[k]!]!;
    const step = column(grid.affine, axes[k]!);
    origin = perAxis((w) => origin[w]! + last * step[w]!);
  }
  const columns = [0, 1, 2].map((k) => {
    const step = column(grid.affine, axes[k]!);
    return flips[k] ? perAxis((w) => -step[w]!) : step;
  }) as [Triple, Triple, Triple];
  return { shape, strides, offset, affine: fromColumns(...columns, origin) };
}

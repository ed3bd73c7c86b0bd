/**
 * Kernels around Winograd's algorithm for the transposed convolution of kernel 4 and stride 2: see `src/ops/winograd-up.ts`. Tiles are of the coarse map.
 * Phase φ, three bits for x, y and z, is of the fine voxels 2c + φ; on each axis coarse voxel c makes it by two taps.
 */

import { cubeInRegisters, fromOf, toOf, transposed } from './lib/cube.ts';
import { elementwise, type Kernel, kernel } from './lib/kernel.ts';
import {
  borderClassIn,
  bordersOfTile,
  indexIn,
  placeOfTile,
  pointsAround,
  pointsOfTile,
  TILE_UNIFORMS,
  type Tile,
  transformOf,
} from './lib/winograd.ts';

const TAPS = 2;

const BITS = `
  let px = phase >> 2u;
  let py = (phase >> 1u) & 1u;
  let pz = phase & 1u;`;

/** `i` is phase · rows · C + row · C + channel; the point n of a phase is at `start` + n · stride, among those of all phases. */
const startOf = (tile: Tile) => `
  let stride = u.rows * u.channels;
  let phase = i / stride;
  let channel = i % u.channels;
  let row = u.firstRow + (i % stride) / u.channels;
  let start = i + phase * ${pointsOfTile(tile, TAPS) - 1}u * stride;${BITS}`;

/** points [8 · points, rows, C] of the coarse x [bricks, edge³, C]: value q of a tile that begins at voxel c is voxel c + φ − 1 + q. */
export function winogradUpInputKernel(tile: Tile): Kernel {
  const matrix = transformOf(tile, TAPS, 'input');
  const store = (x: number, y: number, z: number, sum: string) =>
    `points[start + ${indexIn(toOf(matrix), [x, y, z])}u * stride] = ${sum};`;
  return kernel({
    name: 'winograd-up-input',
    variant: { tile: tile.join('x') },
    reads: { x: 'f32', neighbours: 'u32' },
    writes: { points: 'f32' },
    uniforms: TILE_UNIFORMS,
    code: elementwise(`${startOf(tile)}${placeOfTile(tile)}
  let e = s;
  let ax = x1 + px;
  let ay = y1 + py;
  let az = z1 + pz;
  ${pointsAround(matrix, 1, store)}`),
  });
}

/**
 * The fine y [bricks, (2 · edge)³, C] of points [8 · points, rows, C], plus `bias` [C] and, by border class (`lib/rows.ts`), `constant` [27, C]. The table
 * is that of all bricks.
 */
export function winogradUpOutputKernel(tile: Tile): Kernel {
  const matrix = transformOf(tile, TAPS, 'output');
  const body = cubeInRegisters(matrix, {
    load: (...at) => `points[start + ${indexIn(fromOf(matrix), at)}u * stride]`,
    store: (x, y, z, sum) => {
      const voxel = `((2u * (x1 + ${x}u) + px) << (2u * f)) + ((2u * (y1 + ${y}u) + py) << f) + 2u * (z1 + ${z}u) + pz`;
      const border = `(${borderClassIn(tile, [x, y, z])}) * u.channels + channel`;
      return `y[((brick << (3u * f)) + ${voxel}) * u.channels + channel] = ${sum} + bias[channel] + constant[${border}];`;
    },
  });
  return kernel({
    name: 'winograd-up-output',
    variant: { tile: tile.join('x') },
    reads: { points: 'f32', bias: 'f32', constant: 'f32', neighbours: 'u32' },
    writes: { y: 'f32' },
    uniforms: TILE_UNIFORMS,
    code: elementwise(`${startOf(tile)}${placeOfTile(tile)}${bordersOfTile(tile, 'neighbours', true)}
  let f = s + 1u;
  ${body}`),
  });
}

/** points [points, rows, 8 · C] of the fine x: value q of phase φ of a tile that begins at the coarse voxel c is voxel 2 · (c − φ + q) + φ. */
export function winogradDownInputKernel(tile: Tile): Kernel {
  const matrix = transformOf(tile, TAPS, 'input');
  const store = (x: number, y: number, z: number, sum: string) =>
    `points[i + ${indexIn(toOf(matrix), [x, y, z])}u * stride] = ${sum};`;
  return kernel({
    name: 'winograd-down-input',
    variant: { tile: tile.join('x') },
    reads: { x: 'f32', neighbours: 'u32' },
    writes: { points: 'f32' },
    uniforms: TILE_UNIFORMS,
    code: elementwise(`
  let channel = i % u.channels;
  let phase = (i / u.channels) & 7u;
  let row = u.firstRow + i / (8u * u.channels);
  let stride = u.rows * 8u * u.channels;${BITS}${placeOfTile(tile)}
  let e = s + 1u;
  let ax = 2u * x1 + 1u - px;
  let ay = 2u * y1 + 1u - py;
  let az = 2u * z1 + 1u - pz;
  ${pointsAround(matrix, 2, store)}`),
  });
}

/** Strides of the composed kernel [64, …] and of the points, whose phases have one of their own. A thread is one phase, row and column. */
const WEIGHT_UNIFORMS = {
  count: 'u32',
  rows: 'u32',
  columns: 'u32',
  place: 'u32',
  row: 'u32',
  column: 'u32',
  phase: 'u32',
  point: 'u32',
  pointRow: 'u32',
} as const;

/** Tap q of phase φ is the place 3 − φ − 2q of the composed kernel on each axis; from the coarse map's side, mirrored, 1 − φ + 2q. */
const placeOfTap = (mirrored: boolean, x: number, y: number, z: number) => {
  const q = 32 * x + 8 * y + 2 * z;
  return mirrored ? `(21u - spread + ${q}u)` : `(${63 - q}u - spread)`;
};
const WEIGHT_START = `
  let c = i % u.columns;
  let r = (i / u.columns) % u.rows;
  let phase = i / (u.columns * u.rows);${BITS}
  let spread = 16u * px + 4u * py + pz;
  let own = r * u.row + c * u.column;
  let start = phase * u.phase + r * u.pointRow + c;`;

/** The points of each phase of the composed kernel x. */
export function winogradUpTapsKernel(tile: Tile, mirrored: boolean): Kernel {
  const matrix = transformOf(tile, TAPS, 'taps');
  const body = cubeInRegisters(matrix, {
    load: (x, y, z) => `x[${placeOfTap(mirrored, x, y, z)} * u.place + own]`,
    store: (x, y, z, sum) => `points[start + ${indexIn(toOf(matrix), [x, y, z])}u * u.point] = ${sum};`,
  });
  return kernel({
    name: 'winograd-up-taps',
    variant: { tile: tile.join('x'), mirrored },
    reads: { x: 'f32' },
    writes: { points: 'f32' },
    uniforms: WEIGHT_UNIFORMS,
    code: elementwise(`${WEIGHT_START}
  ${body}`),
  });
}

/** The gradient of the composed kernel from that of its points, mirrored. Each place belongs to one phase. */
export function winogradUpTapsGradientKernel(tile: Tile): Kernel {
  const matrix = transposed(transformOf(tile, TAPS, 'taps'));
  const body = cubeInRegisters(matrix, {
    load: (...at) => `points[start + ${indexIn(fromOf(matrix), at)}u * u.point]`,
    store: (x, y, z, sum) => `dx[${placeOfTap(true, x, y, z)} * u.place + own] = ${sum};`,
  });
  return kernel({
    name: 'winograd-up-taps-gradient',
    variant: { tile: tile.join('x') },
    reads: { points: 'f32' },
    writes: { dx: 'f32' },
    uniforms: WEIGHT_UNIFORMS,
    code: elementwise(`${WEIGHT_START}
  ${body}`),
  });
}

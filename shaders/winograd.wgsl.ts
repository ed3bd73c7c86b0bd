/** Kernels around Winograd's convolution: see `src/ops/winograd.ts`, and for those of two taps `winograd-up.ts`. */

import { cubeInRegisters, fromOf, toOf, transposed } from './lib/cube.ts';
import { elementwise, type Kernel, kernel } from './lib/kernel.ts';
import {
  borderClassIn,
  bordersOfTile,
  indexIn,
  type Place,
  placeOfTile,
  pointsAround,
  type Taps,
  TILE_UNIFORMS,
  type Tile,
  transformOf,
} from './lib/winograd.ts';

const START = `
  let channel = i % u.channels;
  let row = u.firstRow + i / u.channels;
  let stride = u.rows * u.channels;`;

const pointAt = (n: number) => `i + ${n}u * stride`;
const voxelAt = (x: number, y: number, z: number) =>
  `((brick << (3u * s)) + ((x1 + ${x}u) << (2u * s)) + ((y1 + ${y}u) << s) + z1 + ${z}u) * u.channels + channel`;

/** points [points, rows, C] of x [bricks, edge³, C], for three taps: a write for each point. */
export function winogradInputKernel(tile: Tile): Kernel {
  const matrix = transformOf(tile, 3, 'input');
  return kernel({
    name: 'winograd-input',
    variant: { tile: tile.join('x') },
    reads: { x: 'f32', neighbours: 'u32' },
    writes: { points: 'f32' },
    uniforms: TILE_UNIFORMS,
    code: elementwise(`${START}${placeOfTile(tile)}
  let e = s;
  let ax = x1;
  let ay = y1;
  let az = z1;
  ${pointsAround(matrix, 1, (x, y, z, sum) => `points[${pointAt(indexIn(toOf(matrix), [x, y, z]))}] = ${sum};`)}`),
  });
}

export interface WinogradEpilogue {
  readonly bias?: boolean;
  /** The bias is [27, C], a row for each border class (`lib/rows.ts`). */
  readonly borders?: boolean;
  readonly residual?: boolean;
}

/** y [bricks, edge³, C] of points [points, rows, C], plus `bias` [C] and `residual`, of y's shape: a read for each point, a write for each voxel. */
export function winogradOutputKernel(
  tile: Tile,
  taps: Taps,
  { bias = false, borders = false, residual = false }: WinogradEpilogue = {},
): Kernel {
  const matrix = transformOf(tile, taps, 'output');
  const biasAt = (at: Place) => (borders ? `(${borderClassIn(tile, at)}) * u.channels + channel` : 'channel');
  const body = cubeInRegisters(matrix, {
    load: (...at) => `points[${pointAt(indexIn(fromOf(matrix), at))}]`,
    store: (x, y, z, sum) =>
      `{ let at = ${voxelAt(x, y, z)}; y[at] = ${sum}${bias ? ` + bias[${biasAt([x, y, z])}]` : ''}${residual ? ' + residual[at]' : ''}; }`,
  });
  return kernel({
    name: 'winograd-output',
    variant: { tile: tile.join('x'), taps, bias, borders, residual },
    reads: {
      points: 'f32',
      ...(bias && { bias: 'f32' as const }),
      ...(borders && { crop: 'u32' as const }),
      ...(residual && { residual: 'f32' as const }),
    },
    writes: { y: 'f32' },
    uniforms: TILE_UNIFORMS,
    code: elementwise(`${START}${placeOfTile(tile)}${borders ? bordersOfTile(tile, 'crop') : ''}
  ${body}`),
  });
}

/** points [points, rows, C] that results x [bricks, edge³, C] go back to: a read for each voxel, a write for each point. */
export function winogradSpreadKernel(tile: Tile, taps: Taps): Kernel {
  const matrix = transposed(transformOf(tile, taps, 'output'));
  const body = cubeInRegisters(matrix, {
    load: (x, y, z) => `x[${voxelAt(x, y, z)}]`,
    store: (x, y, z, sum) => `points[${pointAt(indexIn(toOf(matrix), [x, y, z]))}] = ${sum};`,
  });
  return kernel({
    name: 'winograd-spread',
    variant: { tile: tile.join('x'), taps },
    reads: { x: 'f32' },
    writes: { points: 'f32' },
    uniforms: TILE_UNIFORMS,
    code: elementwise(`${START}${placeOfTile(tile)}
  ${body}`),
  });
}

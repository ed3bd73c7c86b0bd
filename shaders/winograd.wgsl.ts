/**
 * Kernels around Winograd's 3³ convolution: see `src/ops/winograd-conv3.ts`. A thread takes one tile of voxels, a row of the launch, and one
 * channel: it reads the tile's values, applies a matrix along each axis in registers, and writes the result. No workgroup memory.
 *
 * The tiles of a brick of edge 2^s are counted z fastest; a tile of 2^a voxels on an axis leaves 2^(s − a) of them there.
 */

import { type CubeMatrix, cubeInRegisters, type Matrix, transposed } from './lib/cube.ts';
import { elementwise, type Kernel, kernel } from './lib/kernel.ts';
import { NO_ROW } from './lib/rows.ts';

/** Voxels of a tile on each axis. */
export type Tile = readonly [TileEdge, TileEdge, TileEdge];
export type TileEdge = 2 | 4;

interface Algorithm {
  /** A tile's points from the values in and around it. */
  readonly input: Matrix;
  /** The points of a kernel from its three taps. */
  readonly taps: Matrix;
  /** A tile's results from the products at the points. */
  readonly output: Matrix;
}

/** F(2, 3) and F(4, 3), by points and ∞: those of the latter round least of some that were tried. */
const ALGORITHMS: Record<TileEdge, Algorithm> = {
  2: pointsOf([0, 1, -1]),
  4: pointsOf([0, 1, -1, -1 / 2, 2]),
};

/**
 * Toom and Cook's products, transposed: of finite points a and ∞. With P the polynomial of all roots a, `input` has the coefficients of
 * P / (x − a) and of P, `taps` the powers of a divided by that polynomial's value at a, `output` the powers of a.
 */
function pointsOf(points: readonly number[]): Algorithm {
  const times = (p: readonly number[], root: number) => [...p, 0].map((_, i) => (p[i - 1] ?? 0) - root * (p[i] ?? 0)); // coefficients, lowest first
  const without = (a?: number) => points.filter((b) => b !== a).reduce(times, [1] as readonly number[]);
  const at = (p: readonly number[], a: number) => p.reduceRight((sum, c) => sum * a + c, 0);
  const powers = (count: number) => points.map((a) => Array.from({ length: count }, (_, k) => a ** k));
  const results = points.length - 1;
  return {
    input: [...points.map((a) => [...without(a), 0]), without()],
    taps: [...powers(3).map((row, i) => row.map((v) => v / at(without(points[i]), points[i]!))), [0, 0, 1]],
    output: Array.from({ length: results }, (_, j) => [...points.map((a) => a ** j), j === results - 1 ? 1 : 0]),
  };
}

export function transformOf(tile: Tile, of: keyof Algorithm): CubeMatrix {
  const axes = tile.map((edge) => ALGORITHMS[edge][of]) as [Matrix, Matrix, Matrix];
  return { name: `winograd ${of} ${tile.join(' ')}`, axes };
}

export function pointsOfTile(tile: Tile): number {
  return tile.reduce((product, edge) => product * (edge + 2), 1);
}

/** Rows of the launch are tiles from `firstRow` on; `edgeLog2` is of the map's bricks. */
const UNIFORMS = { count: 'u32', rows: 'u32', channels: 'u32', firstRow: 'u32', edgeLog2: 'u32' } as const;
const AXES = ['x', 'y', 'z'] as const;

/** WGSL: `channel`, `brick`, and x1, y1, z1, the first voxel of the tile in it. */
function placeOf(tile: Tile): string {
  const [a, b, c] = tile.map((edge) => Math.log2(edge)) as [number, number, number];
  return `
  let channel = i % u.channels;
  let row = u.firstRow + i / u.channels;
  let s = u.edgeLog2;
  let stride = u.rows * u.channels;
  let brick = row >> (3u * s - ${a + b + c}u);
  let x1 = ((row >> (2u * s - ${b + c}u)) & ((1u << (s - ${a}u)) - 1u)) << ${a}u;
  let y1 = ((row >> (s - ${c}u)) & ((1u << (s - ${b}u)) - 1u)) << ${b}u;
  let z1 = (row & ((1u << (s - ${c}u)) - 1u)) << ${c}u;`;
}

const pointAt = ([, my, mz]: Tile, x: number, y: number, z: number) =>
  `i + ${(x * (my + 2) + y) * (mz + 2) + z}u * stride`;
const voxelAt = (x: number, y: number, z: number) =>
  `((brick << (3u * s)) + ((x1 + ${x}u) << (2u * s)) + ((y1 + ${y}u) << s) + z1 + ${z}u) * u.channels + channel`;

/** points [points, rows, C] of x [bricks, edge³, C]: a read and a write for each point, and a look at each of 27 neighbours. */
export function winogradInputKernel(tile: Tile): Kernel {
  // Value 0 of an axis lies before the tile and the last one after it, maybe in the next brick; those between are the tile's own.
  const around = AXES.map((axis, a) => {
    const edge = tile[a]!;
    return `let ${axis}0 = (${axis}1 - 1u) & last; let ${axis}${edge + 1} = (${axis}1 + ${edge}u) & last;
  let brick${axis}0 = select(1u, 0u, ${axis}1 == 0u); let brick${axis}2 = select(1u, 2u, ${axis}1 + ${edge - 1}u == last);`;
  });
  const partOf = (axis: number, q: number) => (q === 0 ? 0 : q <= tile[axis]! ? 1 : 2);
  const brickOf = (axis: number, part: number) => (part === 1 ? '1u' : `brick${AXES[axis]}${part}`);
  const placeAt = (axis: number, q: number) =>
    q <= 1 || q > tile[axis]! ? `${AXES[axis]}${q}` : `(${AXES[axis]}1 + ${q - 1}u)`;
  const parts = [0, 1, 2];
  const slot = (x: number, y: number, z: number) => `slot${x}${y}${z}`;
  const slots = (x: number) =>
    parts
      .flatMap((y) => parts.map((z) => [y, z] as const))
      .map(
        ([y, z]) =>
          `let ${slot(x, y, z)} = neighbours[brick * 27u + ${brickOf(0, partOf(0, x))} * 9u + ${brickOf(1, y)} * 3u + ${brickOf(2, z)}];`,
      )
      .join(' ');
  const value = (x: number, y: number, z: number) => {
    const from = slot(x, partOf(1, y), partOf(2, z));
    const at = `((${from} << (3u * s)) + (${placeAt(0, x)} << (2u * s)) + (${placeAt(1, y)} << s) + ${placeAt(2, z)}) * u.channels + channel`;
    return `select(x[select(${at}, 0u, ${from} == ${NO_ROW})], 0.0, ${from} == ${NO_ROW})`;
  };
  const body = cubeInRegisters(transformOf(tile, 'input'), {
    before: slots,
    load: value,
    store: (x, y, z, sum) => `points[${pointAt(tile, x, y, z)}] = ${sum};`,
  });
  return kernel({
    name: 'winograd-input',
    variant: { tile: tile.join('x') },
    reads: { x: 'f32', neighbours: 'u32' },
    writes: { points: 'f32' },
    uniforms: UNIFORMS,
    code: elementwise(`${placeOf(tile)}
  let last = (1u << s) - 1u;
  ${around.join('\n  ')}
  ${body}`),
  });
}

/** y [bricks, edge³, C] of points [points, rows, C], plus `bias` [C] and `residual`, of y's shape: a read for each point, a write for each voxel. */
export function winogradOutputKernel(tile: Tile, bias: boolean, residual: boolean): Kernel {
  const body = cubeInRegisters(transformOf(tile, 'output'), {
    load: (x, y, z) => `points[${pointAt(tile, x, y, z)}]`,
    store: (x, y, z, sum) =>
      `{ let at = ${voxelAt(x, y, z)}; y[at] = ${sum}${bias ? ' + bias[channel]' : ''}${residual ? ' + residual[at]' : ''}; }`,
  });
  return kernel({
    name: 'winograd-output',
    variant: { tile: tile.join('x'), bias, residual },
    reads: { points: 'f32', ...(bias && { bias: 'f32' as const }), ...(residual && { residual: 'f32' as const }) },
    writes: { y: 'f32' },
    uniforms: UNIFORMS,
    code: elementwise(`${placeOf(tile)}
  ${body}`),
  });
}

/** points [points, rows, C] that dy [bricks, edge³, C] goes back to: a read for each voxel, a write for each point. */
export function winogradSpreadKernel(tile: Tile): Kernel {
  const body = cubeInRegisters(transposed(transformOf(tile, 'output')), {
    load: (x, y, z) => `dy[${voxelAt(x, y, z)}]`,
    store: (x, y, z, sum) => `points[${pointAt(tile, x, y, z)}] = ${sum};`,
  });
  return kernel({
    name: 'winograd-spread',
    variant: { tile: tile.join('x') },
    reads: { dy: 'f32' },
    writes: { points: 'f32' },
    uniforms: UNIFORMS,
    code: elementwise(`${placeOf(tile)}
  ${body}`),
  });
}

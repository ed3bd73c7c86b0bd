/**
 * Winograd's algorithm on bricks: its matrices, and WGSL for its transforms. A tile of voxels is computed from the values in and around it, by
 * one product for each of its points. In a launch a thread takes one tile, a row, and one channel: it reads the tile's values, applies a matrix along
 * each axis in registers, and writes the result. No workgroup memory.
 *
 * The tiles of a brick of edge 2^s are counted z fastest; a tile of 2^a voxels on an axis leaves 2^(s − a) of them there.
 */

import { type CubeMatrix, cubeInRegisters, fromOf, type Matrix } from './cube.ts';
import { NO_ROW } from './rows.ts';

/** Voxels of a tile on each axis. */
export type Tile = readonly [TileEdge, TileEdge, TileEdge];
export type TileEdge = 2 | 4;
/** Of a convolution's kernel on each axis. */
export type Taps = 2 | 3;

interface Algorithm {
  /** A tile's points from the values in and around it. */
  readonly input: Matrix;
  /** The points of a kernel from its taps. */
  readonly taps: Matrix;
  /** A tile's results from the products at the points. */
  readonly output: Matrix;
}

/** The finite points of F(tile's edge, taps); those of the larger tiles round least of some that were tried. */
const POINTS: Record<TileEdge, Record<Taps, readonly number[]>> = {
  2: { 2: [0, 1], 3: [0, 1, -1] },
  4: { 2: [0, 1, -1, 2], 3: [0, 1, -1, -1 / 2, 2] },
};

/**
 * Toom and Cook's products, transposed: of finite points a and ∞. With P the polynomial of all roots a, `input` has the coefficients of
 * P / (x − a) and of P, `taps` the powers of a divided by that polynomial's value at a, `output` the powers of a.
 */
function algorithmOf(edge: TileEdge, taps: Taps): Algorithm {
  const points = POINTS[edge][taps];
  const times = (p: readonly number[], root: number) => [...p, 0].map((_, i) => (p[i - 1] ?? 0) - root * (p[i] ?? 0)); // coefficients, lowest first
  const without = (a?: number) => points.filter((b) => b !== a).reduce(times, [1] as readonly number[]);
  const at = (p: readonly number[], a: number) => p.reduceRight((sum, c) => sum * a + c, 0);
  const powers = (a: number, count: number) => Array.from({ length: count }, (_, k) => a ** k);
  const last = (count: number) => Array.from({ length: count }, (_, k) => (k === count - 1 ? 1 : 0));
  return {
    input: [...points.map((a) => [...without(a), 0]), without()],
    taps: [...points.map((a) => powers(a, taps).map((v) => v / at(without(a), a))), last(taps)],
    output: Array.from({ length: edge }, (_, j) => [...points.map((a) => a ** j), j === edge - 1 ? 1 : 0]),
  };
}

export function transformOf(tile: Tile, taps: Taps, of: keyof Algorithm): CubeMatrix {
  const axes = tile.map((edge) => algorithmOf(edge, taps)[of]) as [Matrix, Matrix, Matrix];
  return { name: `winograd ${of} ${tile.join(' ')}, ${taps} taps`, axes };
}

export function pointsOfTile(tile: Tile, taps: Taps): number {
  return tile.reduce((product, edge) => product * (edge + taps - 1), 1);
}

/** Rows of a launch are tiles from `firstRow` on; `edgeLog2` is of the bricks that they are counted in. */
export const TILE_UNIFORMS = { count: 'u32', rows: 'u32', channels: 'u32', firstRow: 'u32', edgeLog2: 'u32' } as const;

/** WGSL: of tile `row` the `brick`, and x1, y1, z1, its first voxel there. Defines `s`. */
export function placeOfTile(tile: Tile): string {
  const [a, b, c] = tile.map((edge) => Math.log2(edge)) as [number, number, number];
  return `
  let s = u.edgeLog2;
  let brick = row >> (3u * s - ${a + b + c}u);
  let x1 = ((row >> (2u * s - ${b + c}u)) & ((1u << (s - ${a}u)) - 1u)) << ${a}u;
  let y1 = ((row >> (s - ${c}u)) & ((1u << (s - ${b}u)) - 1u)) << ${b}u;
  let z1 = (row & ((1u << (s - ${c}u)) - 1u)) << ${c}u;`;
}

/** On x, y and z. */
export type Place = readonly [number, number, number];

/** A place as an index in a cube of that size. */
export function indexIn([, y, z]: Place, at: Place): number {
  return (at[0] * y + at[1]) * z + at[2];
}

const AXES = ['x', 'y', 'z'] as const;

/**
 * WGSL: the border classes (`rows.ts`) of the tile's first and last voxels on each axis, from `crop`, the neighbours of the table of all bricks. Voxels in
 * between are inside the crop. @param phase whether they are children, px, py and pz of two on an axis
 */
export function bordersOfTile(tile: Tile, crop: string, phase = false): string {
  const steps = [9, 3, 1]; // of the axis among the 27 neighbours
  return AXES.map((axis, a) => {
    const isChild = (which: number) => (phase ? `p${axis} == ${which}u && ` : '');
    const isOutside = (step: number) => `${crop}[brick * 27u + ${13 + step}u] == ${NO_ROW}`;
    return `
  let border${axis}0 = select(1u, 0u, ${isChild(0)}${axis}1 == 0u && ${isOutside(-steps[a]!)});
  let border${axis}2 = select(1u, 2u, ${isChild(1)}${axis}1 + ${tile[a]}u == (1u << s) && ${isOutside(steps[a]!)});`;
  }).join('');
}

/** WGSL: the class of a tile's voxel after `bordersOfTile`. */
export function borderClassIn(tile: Tile, at: Place): string {
  const on = (a: number) => (at[a] === 0 ? `border${AXES[a]}0` : at[a] === tile[a]! - 1 ? `border${AXES[a]}2` : '1u');
  return `${on(0)} * 9u + ${on(1)} * 3u + ${on(2)}`;
}

/** WGSL for a name plus a number that may be −1. */
const plus = (name: string, n: number) => (n === 0 ? name : n < 0 ? `(${name} - ${-n}u)` : `(${name} + ${n}u)`);

/**
 * WGSL that reads the values of a tile from the map `x`, also from the bricks beside its own, and gives each point to `store`. Reads `channel`, `brick`,
 * `e`, the log2 of the edge of that map's bricks, and ax, ay, az: one more than the first value's place in the brick. Values lie `step` voxels apart.
 * A read for each value, and a look at each of 27 neighbours.
 */
export function pointsAround(
  matrix: CubeMatrix,
  step: 1 | 2,
  store: (x: number, y: number, z: number, sum: string) => string,
): string {
  const counts = fromOf(matrix);
  // Only the first value of an axis can lie before the brick, and only its last one after it.
  const ends = AXES.map((axis, a) => {
    const after = plus(`a${axis}`, step * (counts[a]! - 1) - 1);
    return `let first${axis} = (a${axis} - 1u) & last; let last${axis} = ${after} & last;
  let brick${axis}0 = select(1u, 0u, a${axis} == 0u); let brick${axis}2 = select(1u, 2u, ${after} > last);`;
  });
  const partOf = (axis: number, q: number) => (q === 0 ? 0 : q < counts[axis]! - 1 ? 1 : 2);
  const brickOf = (axis: number, part: number) => (part === 1 ? '1u' : `brick${AXES[axis]}${part}`);
  const placeAt = (axis: number, q: number) =>
    [`first${AXES[axis]}`, plus(`a${AXES[axis]}`, step * q - 1), `last${AXES[axis]}`][partOf(axis, q)]!;
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
    const at = `((${from} << (3u * e)) + (${placeAt(0, x)} << (2u * e)) + (${placeAt(1, y)} << e) + ${placeAt(2, z)}) * u.channels + channel`;
    return `select(x[select(${at}, 0u, ${from} == ${NO_ROW})], 0.0, ${from} == ${NO_ROW})`;
  };
  return `
  let last = (1u << e) - 1u;
  ${ends.join('\n  ')}
  ${cubeInRegisters(matrix, { before: slots, load: value, store })}`;
}

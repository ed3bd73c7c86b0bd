/**
 * Plain float64 loops that op cases share. They import nothing of the engine: a feature map on bricks is put into a dense
 * volume with zeros where bricks are absent, worked on there, and taken back.
 */

import type { SampleTable } from './op-cases.ts';

export interface Dense {
  readonly batch: number;
  readonly size: readonly [number, number, number];
  readonly channels: number;
  readonly values: Float64Array; // [batch, x, y, z, channels]
}

/** Calls back with (index in the brick layout, index in the dense volume) of every voxel of every present brick. */
function eachVoxel(table: SampleTable, edge: number, visit: (brickRow: number, denseRow: number) => void): void {
  const [gx, gy, gz] = table.grid;
  let row = 0;
  table.visible.forEach((cells, sample) => {
    for (const cell of cells) {
      const origin = [
        Math.floor(cell / (gy * gz)) * edge,
        (Math.floor(cell / gz) % gy) * edge,
        (cell % gz) * edge,
      ] as const;
      for (let x = 0; x < edge; x++)
        for (let y = 0; y < edge; y++)
          for (let z = 0; z < edge; z++) {
            const X = sample * gx * edge + origin[0] + x;
            visit(row++, (X * gy * edge + origin[1] + y) * gz * edge + origin[2] + z);
          }
    }
  });
}

export function toDense(values: Float64Array, table: SampleTable, edge: number, channels: number): Dense {
  const size = table.grid.map((n) => n * edge) as [number, number, number];
  const batch = table.visible.length;
  const dense = new Float64Array(batch * size[0] * size[1] * size[2] * channels);
  eachVoxel(table, edge, (from, to) => {
    for (let c = 0; c < channels; c++) dense[to * channels + c] = values[from * channels + c]!;
  });
  return { batch, size, channels, values: dense };
}

export function fromDense({ values, channels }: Dense, table: SampleTable, edge: number): Float64Array {
  const bricks = table.visible.reduce((sum, cells) => sum + cells.length, 0);
  const result = new Float64Array(bricks * edge ** 3 * channels);
  eachVoxel(table, edge, (to, from) => {
    for (let c = 0; c < channels; c++) result[to * channels + c] = values[from * channels + c]!;
  });
  return result;
}

/** Calls back with (row, neighbour's row, tap) for every voxel and every neighbour inside the volume; taps z fastest. */
export function eachNeighbour({ batch, size }: Dense, visit: (row: number, from: number, tap: number) => void): void {
  const [sx, sy, sz] = size;
  for (let b = 0; b < batch; b++)
    for (let x = 0; x < sx; x++)
      for (let y = 0; y < sy; y++)
        for (let z = 0; z < sz; z++)
          for (let tap = 0; tap < 27; tap++) {
            const [X, Y, Z] = [x + Math.floor(tap / 9) - 1, y + (Math.floor(tap / 3) % 3) - 1, z + (tap % 3) - 1];
            if (X < 0 || X >= sx || Y < 0 || Y >= sy || Z < 0 || Z >= sz) continue;
            visit(((b * sx + x) * sy + y) * sz + z, ((b * sx + X) * sy + Y) * sz + Z, tap);
          }
}

/** Calls back with (row of the coarse map, row of its child, child 0..7); `edge` is the coarse brick's. */
export function eachChild(
  bricks: number,
  edge: number,
  visit: (row: number, child: number, tap: number) => void,
): void {
  const fine = 2 * edge;
  for (let b = 0; b < bricks; b++)
    for (let x = 0; x < edge; x++)
      for (let y = 0; y < edge; y++)
        for (let z = 0; z < edge; z++)
          for (let tap = 0; tap < 8; tap++) {
            const [X, Y, Z] = [2 * x + (tap >> 2), 2 * y + ((tap >> 1) & 1), 2 * z + (tap & 1)];
            visit(((b * edge + x) * edge + y) * edge + z, ((b * fine + X) * fine + Y) * fine + Z, tap);
          }
}

/** Σ over rows of a [rows, channels] matrix. */
export function columnSums(values: Float64Array, channels: number): Float64Array {
  const sums = new Float64Array(channels);
  values.forEach((v, i) => {
    sums[i % channels]! += v;
  });
  return sums;
}

/** The error function by its power series (|x| < 3) or continued fraction, to float64. */
export function erf(x: number): number {
  const a = Math.abs(x);
  if (a < 3) {
    let term = a;
    let sum = a;
    for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum); n++) {
      term *= (-a * a) / n;
      sum += term / (2 * n + 1);
    }
    return Math.sign(x) * (2 / Math.sqrt(Math.PI)) * sum;
  }
  let fraction = 0;
  for (let n = 60; n > 0; n--) fraction = n / 2 / (a + fraction);
  return Math.sign(x) * (1 - Math.exp(-a * a) / Math.sqrt(Math.PI) / (a + fraction));
}

export function gelu(x: number): number {
  return 0.5 * x * (1 + erf(x / Math.SQRT2));
}

export function geluSlope(x: number): number {
  return 0.5 * (1 + erf(x / Math.SQRT2)) + (x * Math.exp((-x * x) / 2)) / Math.sqrt(2 * Math.PI);
}

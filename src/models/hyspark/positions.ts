/** The transformer's fixed sine-cosine table. Source: golden/README.md, "What is computed", 4. */

import type { BrickGrid } from '../../bricks/grid.ts';

/**
 * [cells, channels]: for token (i, j, k), with q = channels / 6 and w_d = 10000^(−d/q): sin(i w), cos(i w), sin(j w), cos(j w), sin(k w),
 * cos(k w), each of length q. `channels` is a multiple of 6.
 */
export function positionTable(grid: BrickGrid, channels: number): Float32Array<ArrayBuffer> {
  const q = channels / 6;
  const table = new Float32Array(grid.cells * channels);
  const omega = Float32Array.from({ length: q }, (_, d) => 10000 ** (-d / q));
  for (let cell = 0; cell < grid.cells; cell++) {
    const at = [Math.floor(cell / (grid.y * grid.z)), Math.floor(cell / grid.z) % grid.y, cell % grid.z];
    at.forEach((position, axis) => {
      for (let d = 0; d < q; d++) {
        const angle = Math.fround(position * omega[d]!);
        table[cell * channels + 2 * axis * q + d] = Math.sin(angle);
        table[cell * channels + (2 * axis + 1) * q + d] = Math.cos(angle);
      }
    });
  }
  return table;
}

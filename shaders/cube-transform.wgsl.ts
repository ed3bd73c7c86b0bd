/** The transforms of weights: see `src/ops/cube-transform.ts`. */

import { type AxisMatrix, pairs, weighted } from './lib/cube.ts';
import { elementwise, type Kernel, kernel } from './lib/kernel.ts';

/**
 * y[p, r, c] = Σ_q T[px, qx] T[py, qy] T[pz, qz] · x[q, r, c] over the points q of a cube, z fastest. Each side has its own strides
 * of points, rows and, for x, columns; x starts at `base`. With `extended` the last of y's rows comes from `last` [q, c] instead.
 *
 * A thread makes the plane of one px, of the element (r, c): the sums over qx as it loads, those over qy and qz in registers.
 * `count` is planes · rows · columns.
 */
export function cubeTransformKernel({ name, rows: matrix }: AxisMatrix, extended: boolean): Kernel {
  const [to, from] = [matrix.length, matrix[0]!.length];
  const lines = (list: readonly string[]) => list.join('\n  ');
  const code = `
var<private> matrix: array<f32, ${to * from}> = array<f32, ${to * from}>(${matrix.flat().map((v) => v.toFixed(1))});
${elementwise(`
  let c = i % u.columns;
  let r = (i / u.columns) % u.rows;
  let px = i / (u.columns * u.rows);
  ${
    extended
      ? `let isLast = r + 1u == u.rows;
  let start = select(u.base + r * u.rowX + c * u.columnX, 0u, isLast);`
      : 'let start = u.base + r * u.rowX + c * u.columnX;'
  }
  ${lines(pairs(from, from).map(([y, z]) => `var v${y}${z} = 0.0;`))}
  for (var qx = 0u; qx < ${from}u; qx++) {
    let t = matrix[px * ${from}u + qx];
    if (t == 0.0) { continue; }
    let at = start + qx * ${from * from}u * u.pointX;
    ${lines(pairs(from, from).map(([y, z]) => `v${y}${z} += t * x[at + ${y * from + z}u * u.pointX];`))}
  }
  ${
    extended
      ? `if (isLast) {
    ${lines(pairs(from, from).map(([y, z]) => `v${y}${z} = 0.0;`))}
    for (var qx = 0u; qx < ${from}u; qx++) {
      let t = matrix[px * ${from}u + qx];
      let at = qx * ${from * from}u * u.pointLast + c;
      ${lines(pairs(from, from).map(([y, z]) => `v${y}${z} += t * last[at + ${y * from + z}u * u.pointLast];`))}
    }
  }`
      : ''
  }
  ${lines(pairs(from, to).map(([y, z]) => `let w${y}${z} = ${weighted(matrix[z]!, (q) => `v${y}${q}`)};`))}
  let place = px * ${to * to}u * u.pointY + r * u.rowY + c;
  ${lines(pairs(to, to).map(([y, z]) => `y[place + ${y * to + z}u * u.pointY] = ${weighted(matrix[y]!, (q) => `w${q}${z}`)};`))}`)}`;
  return kernel({
    name: 'cube-transform',
    variant: { name, extended },
    reads: { x: 'f32', ...(extended ? { last: 'f32' as const } : {}) },
    writes: { y: 'f32' },
    uniforms: {
      count: 'u32',
      rows: 'u32',
      columns: 'u32',
      base: 'u32',
      pointX: 'u32',
      rowX: 'u32',
      columnX: 'u32',
      pointY: 'u32',
      rowY: 'u32',
      ...(extended ? { pointLast: 'u32' as const } : {}),
    },
    code,
  });
}

/** The transforms of weights: see `src/ops/cube-transform.ts`. */

import { type CubeMatrix, fromOf, literal, pairs, toOf, weighted } from './lib/cube.ts';
import { elementwise, type Kernel, kernel } from './lib/kernel.ts';

/**
 * y[p, r, c] = Σ_q X[px, qx] Y[py, qy] Z[pz, qz] · x[q, r, c] over the points q of a cube, z fastest. Each side has its own strides
 * of points, rows and, for x, columns; x starts at `base`. With `extended` the last of y's rows comes from `last` [q, c] instead.
 *
 * A thread makes the plane of one px, of the element (r, c): the sums over qx as it loads, those over qy and qz in registers.
 * `count` is planes · rows · columns.
 */
export function cubeTransformKernel(matrix: CubeMatrix, extended: boolean): Kernel {
  const [ofX, ofY, ofZ] = matrix.axes;
  const [toX, toY, toZ] = toOf(matrix);
  const [fromX, fromY, fromZ] = fromOf(matrix);
  const lines = (list: readonly string[]) => list.join('\n  ');
  const code = `
var<private> matrix: array<f32, ${toX * fromX}> = array<f32, ${toX * fromX}>(${ofX.flat().map(literal)});
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
  ${lines(pairs(fromY, fromZ).map(([y, z]) => `var v${y}${z} = 0.0;`))}
  for (var qx = 0u; qx < ${fromX}u; qx++) {
    let t = matrix[px * ${fromX}u + qx];
    if (t == 0.0) { continue; }
    let at = start + qx * ${fromY * fromZ}u * u.pointX;
    ${lines(pairs(fromY, fromZ).map(([y, z]) => `v${y}${z} += t * x[at + ${y * fromZ + z}u * u.pointX];`))}
  }
  ${
    extended
      ? `if (isLast) {
    ${lines(pairs(fromY, fromZ).map(([y, z]) => `v${y}${z} = 0.0;`))}
    for (var qx = 0u; qx < ${fromX}u; qx++) {
      let t = matrix[px * ${fromX}u + qx];
      let at = qx * ${fromY * fromZ}u * u.pointLast + c;
      ${lines(pairs(fromY, fromZ).map(([y, z]) => `v${y}${z} += t * last[at + ${y * fromZ + z}u * u.pointLast];`))}
    }
  }`
      : ''
  }
  ${lines(pairs(fromY, toZ).map(([y, z]) => `let w${y}${z} = ${weighted(ofZ[z]!, (q) => `v${y}${q}`)};`))}
  let place = px * ${toY * toZ}u * u.pointY + r * u.rowY + c;
  ${lines(pairs(toY, toZ).map(([y, z]) => `y[place + ${y * toZ + z}u * u.pointY] = ${weighted(ofY[y]!, (q) => `w${q}${z}`)};`))}`)}`;
  return kernel({
    name: 'cube-transform',
    variant: { name: matrix.name, extended },
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

/** Kernels around the composition of a transposed convolution with a 3³ convolution: see `src/ops/up-conv3.ts`. */

import { elementwise, type Kernel, kernel } from './lib/kernel.ts';
import { NO_ROW } from './lib/rows.ts';

/** A small constant matrix that acts on each of the three axes of a cube of matrices: rows are outputs. */
export interface AxisMatrix {
  /** Distinguishes the kernel. */
  readonly name: string;
  readonly rows: readonly (readonly number[])[];
}

const range = (n: number) => Array.from({ length: n }, (_, i) => i);

/**
 * y[p, r, c] = Σ_q T[px, qx] T[py, qy] T[pz, qz] · x[q, r, c] over the points q of a cube, z fastest. Each side has its own strides
 * of points, rows and, for x, columns; x starts at `base`. With `extended` the last of y's rows comes from `last` [q, c] instead.
 *
 * A thread makes the plane of one px, of the element (r, c): the sums over qx as it loads, those over qy and qz in registers.
 * `count` is planes · rows · columns.
 */
export function cubeTransformKernel({ name, rows: matrix }: AxisMatrix, extended: boolean): Kernel {
  const [to, from] = [matrix.length, matrix[0]!.length];
  /** Σ of the terms with a coefficient, those of ±1 without a multiplication. */
  const sum = (coefficients: readonly number[], term: (q: number) => string) => {
    const terms = coefficients.flatMap((t, q) =>
      t === 0 ? [] : [`${t < 0 ? '- ' : '+ '}${Math.abs(t) === 1 ? '' : `${Math.abs(t)} * `}${term(q)}`],
    );
    return terms.join(' ').replace(/^\+ /, '');
  };
  const lines = (list: readonly string[]) => list.join('\n  ');
  const cells = (a: number, b: number) => range(a).flatMap((y) => range(b).map((z) => [y, z] as const));
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
  ${lines(cells(from, from).map(([y, z]) => `var v${y}${z} = 0.0;`))}
  for (var qx = 0u; qx < ${from}u; qx++) {
    let t = matrix[px * ${from}u + qx];
    if (t == 0.0) { continue; }
    let at = start + qx * ${from * from}u * u.pointX;
    ${lines(cells(from, from).map(([y, z]) => `v${y}${z} += t * x[at + ${y * from + z}u * u.pointX];`))}
  }
  ${
    extended
      ? `if (isLast) {
    ${lines(cells(from, from).map(([y, z]) => `v${y}${z} = 0.0;`))}
    for (var qx = 0u; qx < ${from}u; qx++) {
      let t = matrix[px * ${from}u + qx];
      let at = qx * ${from * from}u * u.pointLast + c;
      ${lines(cells(from, from).map(([y, z]) => `v${y}${z} += t * last[at + ${y * from + z}u * u.pointLast];`))}
    }
  }`
      : ''
  }
  ${lines(cells(from, to).map(([y, z]) => `let w${y}${z} = ${sum(matrix[z]!, (q) => `v${y}${q}`)};`))}
  let place = px * ${to * to}u * u.pointY + r * u.rowY + c;
  ${lines(cells(to, to).map(([y, z]) => `y[place + ${y * to + z}u * u.pointY] = ${sum(matrix[y]!, (q) => `w${q}${z}`)};`))}`)}`;
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

/**
 * Sums along one axis of a map's bricks, for the four places w on that axis of the composed kernel: dy of the voxels that meet a
 * voxel of the coarse map there. w = 1, 2 are the even and the odd voxels; w = 0 the odd ones but the crop's last, whose coarse voxel
 * would lie outside; w = 3 the even ones but the crop's first.
 * x [outer, edge, inner], y [outer, 4, inner], a thread a column; `outer` counts lines, `linesOfBrick` of them in each brick;
 * `step` is 9, 3 or 1 for x, y or z: the way to the neighbour in the brick table.
 */
export function placeSumsKernel(): Kernel {
  return kernel({
    name: 'place-sums',
    reads: { x: 'f32', neighbours: 'u32' },
    writes: { y: 'f32' },
    uniforms: { count: 'u32', edge: 'u32', inner: 'u32', linesOfBrick: 'u32', step: 'u32' },
    code: elementwise(`
  let outer = i / u.inner;
  let start = outer * u.edge * u.inner + i % u.inner;
  let own = (outer / u.linesOfBrick) * 27u + 13u;
  let first = x[start];
  let last = x[start + (u.edge - 1u) * u.inner];
  var odd = 0.0;
  var even = 0.0;
  for (var p = 1u; p + 1u < u.edge; p += 2u) {
    odd += x[start + p * u.inner];
    even += x[start + (p + 1u) * u.inner];
  }
  let to = outer * 4u * u.inner + i % u.inner;
  y[to] = odd + select(last, 0.0, neighbours[own + u.step] == ${NO_ROW});
  y[to + u.inner] = even + first;
  y[to + 2u * u.inner] = odd + last;
  y[to + 3u * u.inner] = even + select(first, 0.0, neighbours[own - u.step] == ${NO_ROW});`),
  });
}

/**
 * 4 × 4 affine matrices from voxel indices to millimetres, in float64, row-major: element (r, c) is `a[4 * r + c]`,
 * the last row is 0 0 0 1. World axes: x to the patient's right, y to the front, z to the head ("RAS+").
 */

/** 16 numbers, row-major. */
export type Affine = readonly number[];
/** A value for each of the three axes x, y, z. */
export type Triple = readonly [number, number, number];

/** The matrix whose columns are three axis vectors and an origin. */
export function fromColumns(x: Triple, y: Triple, z: Triple, origin: Triple): Affine {
  return [0, 1, 2].flatMap((r) => [x[r]!, y[r]!, z[r]!, origin[r]!]).concat([0, 0, 0, 1]);
}

/** Column `c`: 0, 1, 2 are the steps of one voxel in mm, 3 is the position of voxel (0, 0, 0). */
export function column(a: Affine, c: number): Triple {
  return [a[c]!, a[4 + c]!, a[8 + c]!];
}

/** `a` applied to a point. */
export function apply(a: Affine, [x, y, z]: Triple): Triple {
  const row = (r: number) => a[4 * r]! * x + a[4 * r + 1]! * y + a[4 * r + 2]! * z + a[4 * r + 3]!;
  return [row(0), row(1), row(2)];
}

/** The product: first `b`, then `a`. */
export function multiply(a: Affine, b: Affine): Affine {
  const out: number[] = [];
  for (let r = 0; r < 4; r++) {
    for (let c = 0; c < 4; c++) {
      let sum = 0;
      for (let k = 0; k < 4; k++) sum += a[4 * r + k]! * b[4 * k + c]!;
      out.push(sum);
    }
  }
  return out;
}

/** Determinant of the 3 × 3 part: the volume of a voxel in mm³, negative for a mirrored grid. */
export function determinant(a: Affine): number {
  return dot(column(a, 0), cross(column(a, 1), column(a, 2)));
}

/** The inverse. A singular matrix gives entries that are not finite. */
export function invert(a: Affine): Affine {
  const [x, y, z, t] = [column(a, 0), column(a, 1), column(a, 2), column(a, 3)];
  // Rows of the inverse of a 3 × 3 matrix are cross products of its columns over the determinant.
  const det = determinant(a);
  const rows = [cross(y, z), cross(z, x), cross(x, y)].map((v) => v.map((e) => e / det) as unknown as Triple);
  return rows.flatMap((row) => [...row, -dot(row, t)]).concat([0, 0, 0, 1]);
}

/** Voxel sizes in mm: the lengths of the first three columns. */
export function voxelSize(a: Affine): Triple {
  return [Math.hypot(...column(a, 0)), Math.hypot(...column(a, 1)), Math.hypot(...column(a, 2))];
}

/** The axes of `a` made orthonormal in the order x, y, z (Gram-Schmidt): shear goes. Three unit columns. */
export function orthonormalAxes(a: Affine): readonly [Triple, Triple, Triple] {
  const x = unit(column(a, 0));
  const c1 = column(a, 1);
  const y = unit(minus(c1, scaled(x, dot(x, c1))));
  const c2 = column(a, 2);
  const z = unit(minus(minus(c2, scaled(x, dot(x, c2))), scaled(y, dot(y, c2))));
  return [x, y, z];
}

/**
 * The orthogonal matrix nearest to the 3 × 3 part with unit columns (the U of its polar decomposition), as three
 * columns. Newton's iteration Q = (Q + Q^-T) / 2 (Higham 1986), quadratic from any regular start.
 */
export function nearestRotation(a: Affine): readonly [Triple, Triple, Triple] {
  let q = [0, 1, 2].map((c) => unit(column(a, c)));
  for (let i = 0; i < 50; i++) {
    const [x, y, z] = q as [Triple, Triple, Triple];
    const det = dot(x, cross(y, z));
    const inverseTransposed = [cross(y, z), cross(z, x), cross(x, y)].map((v) => scaled(v, 1 / det));
    const next = q.map((v, c) => scaled(plus(v, inverseTransposed[c]!), 0.5));
    const change = Math.max(...next.map((v, c) => Math.hypot(...minus(v, q[c]!))));
    q = next;
    if (!(change > 1e-14)) break;
  }
  return q as [Triple, Triple, Triple];
}

/** |a - b| <= atol + rtol |b| in every entry (false for NaN): NumPy's allclose. */
export function allClose(a: readonly number[], b: readonly number[], rtol: number, atol: number): boolean {
  return a.every((value, i) => Math.abs(value - b[i]!) <= atol + rtol * Math.abs(b[i]!));
}

/** A function of each axis. */
export function perAxis(f: (axis: number) => number): Triple {
  return [f(0), f(1), f(2)];
}

export function dot(a: Triple, b: Triple): number {
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

export function cross(a: Triple, b: Triple): Triple {
  return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
}

export function scaled(a: Triple, s: number): Triple {
  return [a[0] * s, a[1] * s, a[2] * s];
}

function plus(a: Triple, b: Triple): Triple {
  return [a[0] + b[0], a[1] + b[1], a[2] + b[2]];
}

function minus(a: Triple, b: Triple): Triple {
  return [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
}

function unit(a: Triple): Triple {
  return scaled(a, 1 / Math.hypot(...a));
}

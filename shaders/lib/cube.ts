/** WGSL for small constant matrices that act on the axes of a cube: the transforms of Toom, Cook and Winograd. */

/** Rows are outputs. */
export type Matrix = readonly (readonly number[])[];

/** A matrix for each axis. */
export interface CubeMatrix {
  /** Distinguishes kernels. */
  readonly name: string;
  readonly axes: readonly [Matrix, Matrix, Matrix];
}

/** The matrices the other way round: for gradients. */
export function transposed({ name, axes }: CubeMatrix): CubeMatrix {
  const turned = axes.map((matrix) => matrix[0]!.map((_, c) => matrix.map((row) => row[c]!)));
  return { name: `${name} transposed`, axes: turned as unknown as [Matrix, Matrix, Matrix] };
}

/** The matrices whose results come in reverse order. */
export function mirrored({ name, axes }: CubeMatrix): CubeMatrix {
  return { name: `${name} mirrored`, axes: axes.map((matrix) => matrix.toReversed()) as unknown as CubeMatrix['axes'] };
}

/** Values on each axis of a matrix's results and of its sources. */
export const toOf = ({ axes }: CubeMatrix) => axes.map((matrix) => matrix.length) as [number, number, number];
export const fromOf = ({ axes }: CubeMatrix) => axes.map((matrix) => matrix[0]!.length) as [number, number, number];

const range = (n: number) => Array.from({ length: n }, (_, i) => i);

/** A number as WGSL's float. */
export const literal = (v: number) => (Number.isInteger(v) ? v.toFixed(1) : `${v}`);

/** Σ of the terms with a coefficient, those of ±1 without a multiplication. */
export function weighted(coefficients: readonly number[], term: (q: number) => string): string {
  const terms = coefficients.flatMap((t, q) =>
    t === 0 ? [] : [`${t < 0 ? '- ' : '+ '}${Math.abs(t) === 1 ? '' : `${literal(Math.abs(t))} * `}${term(q)}`],
  );
  return terms.join(' ').replace(/^\+ /, '');
}

/** Pairs of the first `a` and the first `b` numbers. */
export function pairs(a: number, b: number): readonly (readonly [number, number])[] {
  return range(a).flatMap((y) => range(b).map((z) => [y, z] as const));
}

/**
 * WGSL that applies the matrices along z, y and x to a cube of values, slab by slab of x; each result is stored once its slabs were read, so
 * that few values are held at a time.
 */
export function cubeInRegisters(
  matrix: CubeMatrix,
  {
    before = () => '',
    load,
    store,
  }: {
    /** Statements ahead of a slab's loads. */
    before?(x: number): string;
    /** The value at x, y, z. */
    load(x: number, y: number, z: number): string;
    /** Of the result at x, y, z, whose value is `sum`. */
    store(x: number, y: number, z: number, sum: string): string;
  },
): string {
  const [ofX, ofY, ofZ] = matrix.axes;
  const [, toY, toZ] = toOf(matrix);
  const [, fromY, fromZ] = fromOf(matrix);
  const lines: string[] = [];
  const take = (x: number) => {
    lines.push(before(x));
    for (const [y, z] of pairs(fromY, fromZ)) lines.push(`let v${x}${y}${z} = ${load(x, y, z)};`);
    for (const [y, z] of pairs(fromY, toZ))
      lines.push(`let w${x}${y}${z} = ${weighted(ofZ[z]!, (q) => `v${x}${y}${q}`)};`);
    for (const [y, z] of pairs(toY, toZ))
      lines.push(`let t${x}${y}${z} = ${weighted(ofY[y]!, (q) => `w${x}${q}${z}`)};`);
  };
  const taken = new Set<number>();
  const left = new Set(range(ofX.length));
  for (const row of ofX) {
    row.forEach((t, x) => {
      if (t === 0 || taken.has(x)) return;
      taken.add(x);
      take(x);
    });
    for (const px of left) {
      const coefficients = ofX[px]!;
      if (!coefficients.every((t, x) => t === 0 || taken.has(x))) continue;
      left.delete(px);
      for (const [y, z] of pairs(toY, toZ)) {
        lines.push(
          store(
            px,
            y,
            z,
            weighted(coefficients, (q) => `t${q}${y}${z}`),
          ),
        );
      }
    }
  }
  return lines.filter((line) => line !== '').join('\n  ');
}

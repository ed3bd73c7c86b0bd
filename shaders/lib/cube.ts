/** WGSL for a small constant matrix that acts on each of the three axes of a cube. */

export interface AxisMatrix {
  /** Distinguishes kernels. */
  readonly name: string;
  /** Rows are outputs. */
  readonly rows: readonly (readonly number[])[];
}

const range = (n: number) => Array.from({ length: n }, (_, i) => i);

/** Σ of the terms with a coefficient, those of ±1 without a multiplication. */
export function weighted(coefficients: readonly number[], term: (q: number) => string): string {
  const terms = coefficients.flatMap((t, q) =>
    t === 0 ? [] : [`${t < 0 ? '- ' : '+ '}${Math.abs(t) === 1 ? '' : `${Math.abs(t)} * `}${term(q)}`],
  );
  return terms.join(' ').replace(/^\+ /, '');
}

/** Pairs of the first `a` and the first `b` numbers. */
export function pairs(a: number, b: number): readonly (readonly [number, number])[] {
  return range(a).flatMap((y) => range(b).map((z) => [y, z] as const));
}

/**
 * WGSL that applies the matrix along z, y and x to a cube of values, slab by slab of x; each result is stored once its slabs were read, so
 * that few values are held at a time.
 * @param before statements ahead of a slab's loads
 * @param load the value at x, y, z
 * @param store of a result, numbered z fastest, its value being `sum`
 */
export function cubeInRegisters(
  { rows: matrix }: AxisMatrix,
  {
    before = () => '',
    load,
    store,
  }: {
    before?(x: number): string;
    load(x: number, y: number, z: number): string;
    store(result: number, sum: string): string;
  },
): string {
  const [to, from] = [matrix.length, matrix[0]!.length];
  const needed = matrix.map((coefficients) => coefficients.flatMap((t, q) => (t === 0 ? [] : [q])));
  const lines: string[] = [];
  const held = new Set<number>();
  const stored = new Set<number>();
  const take = (x: number) => {
    held.add(x);
    lines.push(before(x));
    for (const [y, z] of pairs(from, from)) lines.push(`let v${x}${y}${z} = ${load(x, y, z)};`);
    for (const [y, z] of pairs(from, to))
      lines.push(`let w${x}${y}${z} = ${weighted(matrix[z]!, (q) => `v${x}${y}${q}`)};`);
    for (const [y, z] of pairs(to, to))
      lines.push(`let t${x}${y}${z} = ${weighted(matrix[y]!, (q) => `w${x}${q}${z}`)};`);
  };
  for (const [px, sources] of needed.entries()) {
    for (const x of sources) if (!held.has(x)) take(x);
    for (const [done, of] of needed.entries()) {
      if (done > px && !of.every((x) => held.has(x))) continue;
      if (stored.has(done)) continue;
      stored.add(done);
      for (const [y, z] of pairs(to, to)) {
        lines.push(
          store(
            (done * to + y) * to + z,
            weighted(matrix[done]!, (q) => `t${q}${y}${z}`),
          ),
        );
      }
    }
  }
  return lines.filter((line) => line !== '').join('\n  ');
}

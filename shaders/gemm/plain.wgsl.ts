/**
 * The plain micro-kernel: a thread owns 4 × 4 results, reads 4 values of a and a row of 4 weights a step of k. No workgroup
 * memory, no features; it runs everywhere and is what faster ones are measured against. With `vec4`, which needs K and N
 * divisible by 4 and weights contiguous along n, both reads are one vec4 load for 4 × 4 × 4 multiply-adds.
 */

import { elementwise, type Kernel, kernel, wgsl } from '../lib/kernel.ts';
import { NO_ROW, PHASES, TAPS } from '../lib/rows.ts';
import {
  PRODUCT_UNIFORMS,
  type ProductVariant,
  productLibrary,
  productReads,
  productWrites,
  WEIGHT_GRADIENT_UNIFORMS,
  type WeightGradientVariant,
  weightGradientLibrary,
  weightGradientReads,
} from './family.ts';

const FOUR = [0, 1, 2, 3] as const;
const four = (line: (i: number) => string, separator = '\n') => FOUR.map(line).join(separator);

/** Launch: a thread for each 4 × 4 tile of y, columns fastest, then rows, then phases; `count` tiles. */
export function plainProductKernel(variant: ProductVariant, vec4: boolean): Kernel {
  const taps = TAPS[variant.addressing] / PHASES[variant.addressing];
  const body = wgsl`
  let across = (u.columns + 3u) / 4u;
  let down = (u.rows + 3u) / 4u;
  let phase = i / (across * down);
  let m = ((i / across) % down) * 4u;
  let n = (i % across) * 4u;
  ${four((r) => `var sum${r} = vec4f(0.0);`)}
  for (var tap = phase * ${taps}u; tap < (phase + 1u) * ${taps}u; tap++) {
    ${four((r) => `let row${r} = rowOf(min(m + ${r}u, u.rows - 1u), tap);`)}
    #if ${variant.skip}
    if (${four((r) => `row${r} == ${NO_ROW}`, ' && ')}) { continue; }
    #endif
    #if ${vec4}
    for (var k = 0u; k < u.inner; k += 4u) {
      ${four((r) => `let a${r} = select(a[(select(row${r}, 0u, row${r} == ${NO_ROW}) * u.inner + k) / 4u], vec4f(0.0), row${r} == ${NO_ROW});`)}
      ${four((k) => `let w${k} = weight[weightAt(tap, k + ${k}u, n) / 4u];`)}
      ${four((r) => `sum${r} += a${r}.x * w0 + a${r}.y * w1 + a${r}.z * w2 + a${r}.w * w3;`)}
    }
    #else
    for (var k = 0u; k < u.inner; k++) {
      let w = vec4f(${four((c) => `weight[weightAt(tap, k, min(n + ${c}u, u.columns - 1u))]`, ', ')});
      ${four((r) => `sum${r} += select(a[select(row${r}, 0u, row${r} == ${NO_ROW}) * u.inner + k], 0.0, row${r} == ${NO_ROW}) * w;`)}
    }
    #endif
    #if ${variant.constant}
    #if ${vec4}
    let one = weight[weightAt(tap, u.inner, n) / 4u];
    #else
    let one = vec4f(${four((c) => `weight[weightAt(tap, u.inner, min(n + ${c}u, u.columns - 1u))]`, ', ')});
    #endif
    ${four((r) => `sum${r} += select(one, vec4f(0.0), row${r} == ${NO_ROW});`)}
    #endif
  }
  ${four(
    (r) => `if (m + ${r}u < u.rows) {
    let biasRow = biasRowOf(m + ${r}u);
    ${four((c) => `if (n + ${c}u < u.columns) { store(phase, m + ${r}u, n + ${c}u, sum${r}[${c}], biasRow); }`)}
  }`,
  )}`;
  const reads = productReads(variant);
  return kernel({
    name: 'product-plain',
    variant: { ...variant, vec4 },
    reads: vec4 ? { ...reads, a: 'vec4f', weight: 'vec4f' } : reads,
    writes: productWrites(variant),
    uniforms: { count: 'u32', ...PRODUCT_UNIFORMS },
    code: productLibrary(variant) + elementwise(body),
  });
}

/** Launch: a thread for each (split, tap, 4 × 4 tile of K × N), columns fastest; `count` of them. Writes `partials` [splits, taps, K, N]. */
export function plainWeightGradientKernel(variant: WeightGradientVariant): Kernel {
  const taps = TAPS[variant.addressing];
  const body = `
  let across = (u.columns + 3u) / 4u;
  let down = (u.inner + 3u) / 4u;
  let n = (i % across) * 4u;
  let k = ((i / across) % down) * 4u;
  let tap = (i / (across * down)) % ${taps}u;
  let split = i / (across * down * ${taps}u);
  ${four((r) => `var sum${r} = vec4f(0.0);`)}
  let end = min((split + 1u) * u.rowsPerSplit, u.rows);
  for (var m = split * u.rowsPerSplit; m < end; m++) {
    let row = rowOf(m, tap);
    if (row == ${NO_ROW}) { continue; }
    let dy = vec4f(${four((c) => `d[rowOfD(m, tap) * u.columns + min(n + ${c}u, u.columns - 1u)]`, ', ')});
    ${four((r) => `sum${r} += a[row * u.inner + min(k + ${r}u, u.inner - 1u)] * dy;`)}
  }
  let out = ((split * ${taps}u + tap) * u.inner + k) * u.columns + n;
  ${four(
    (r) => `if (k + ${r}u < u.inner) {
    ${four((c) => `if (n + ${c}u < u.columns) { partials[out + ${r}u * u.columns + ${c}u] = sum${r}[${c}]; }`)}
  }`,
  )}`;
  return kernel({
    name: 'weight-gradient-plain',
    variant: { ...variant },
    reads: weightGradientReads(variant),
    writes: { partials: 'f32' },
    uniforms: { count: 'u32', ...WEIGHT_GRADIENT_UNIFORMS },
    code: weightGradientLibrary(variant) + elementwise(body),
  });
}

/** What comes after partial sums: both forms add them up in order, an element a thread. `ahead`: `strided`. */

import { elementwise, type Kernel, kernel, strided } from '../lib/kernel.ts';
import { PRODUCT_UNIFORMS, type ProductVariant, productEpilogue, productReads, productWrites } from './family.ts';

/** Adds the partial sums [splits, phases, rows, columns] of a product whose taps were shared out, and stores the results: an element each. */
export function productFinishKernel(v: ProductVariant, ahead: number): Kernel {
  const { a: _a, weight: _w, neighbours: _n, ...reads } = productReads(v);
  return kernel({
    name: 'product-finish',
    variant: { ...v, ahead },
    reads: { partials: 'f32', ...reads },
    writes: productWrites(v),
    uniforms: { count: 'u32', splits: 'u32', ...PRODUCT_UNIFORMS },
    code: `${productEpilogue(v)}
${elementwise(`
  var sum = 0.0;
  ${strided('i', 'u.splits * u.count', 'u.count', ahead, 'sum += partials[at];')}
  let m = (i / u.columns) % u.rows;
  store(i / (u.columns * u.rows), m, i % u.columns, sum, biasRowOf(m));`)}`,
  });
}

/**
 * Adds the splits in order and writes dW at base + tap · strideTap + k · strideInner + n · strideColumn; a thread a weight. With `outer`
 * adds perTap[tap, k] · perColumn[n].
 */
export function weightGradientFinishKernel(outer: boolean, ahead: number): Kernel {
  return kernel({
    name: 'weight-gradient-finish',
    variant: { outer, ahead },
    reads: { partials: 'f32', ...(outer ? { perTap: 'f32' as const, perColumn: 'f32' as const } : {}) },
    writes: { dWeight: 'f32' },
    uniforms: {
      count: 'u32',
      splits: 'u32',
      inner: 'u32',
      columns: 'u32',
      base: 'u32',
      strideTap: 'u32',
      strideInner: 'u32',
      strideColumn: 'u32',
    },
    code: elementwise(`
  var sum = 0.0;
  ${strided('i', 'u.splits * u.count', 'u.count', ahead, 'sum += partials[at];')}
  let n = i % u.columns;
  let k = (i / u.columns) % u.inner;
  let tap = i / (u.columns * u.inner);
  ${outer ? 'sum += perTap[tap * u.inner + k] * perColumn[n];' : ''}
  dWeight[u.base + tap * u.strideTap + k * u.strideInner + n * u.strideColumn] = sum;`),
  });
}

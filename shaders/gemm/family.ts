/**
 * The GEMM family: every dense product of the network in two forms, whatever micro-kernel runs it.
 *
 * Product: y[m, n] = epilogue(Σ_tap Σ_k a[rowOf(m, tap), k] · w(tap, k, n)), row m of y being a row, a voxel or a child of one.
 *   The weight's address is base + tap · strideTap + k · strideInner + n · strideColumn modulo 2³²: strides may run
 *   backwards, so that input gradients are the same kernel over the transposed, mirrored weight.
 * Weight gradient: dW(tap, k, n) = Σ_m a[rowOf(m, tap), k] · d[m, n], cut into `splits` ranges of rows whose partial sums
 *   [splits, taps, K, N] a second pass adds in order: deterministic without atomics.
 */

import type { UniformType } from '../lib/kernel.ts';
import { gelu } from '../lib/math.ts';
import { type Addressing, borderClass, rowOf } from '../lib/rows.ts';

/** What distinguishes one product kernel from another, besides the micro-kernel. */
export interface ProductVariant {
  readonly addressing: Addressing;
  /** y = product, or gelu of it: then `pre` keeps the product for the backward pass. */
  readonly gelu: boolean;
  readonly bias: boolean;
  /** The bias is [27, N]: a row for each border class (`lib/rows.ts`). */
  readonly borders: boolean;
  /** Most neighbours are absent: test for it before working on a tap. */
  readonly skip: boolean;
  /** Adds `residual`, of y's shape, after the activation. */
  readonly residual: boolean;
  /** Column n of row m goes to child n / perChild of voxel m: the transposed convolution of stride 2. */
  readonly scatter: boolean;
}

export const PRODUCT_UNIFORMS = {
  rows: 'u32', // M
  inner: 'u32', // K, channels of a
  columns: 'u32', // N
  edgeLog2: 'u32', // of a row's brick
  base: 'u32',
  strideTap: 'u32',
  strideInner: 'u32',
  strideColumn: 'u32',
  perChild: 'u32', // columns of one child, with scatter
} as const satisfies Record<string, UniformType>;

export function productReads(v: ProductVariant): Record<string, 'f32' | 'u32'> {
  return {
    a: 'f32',
    weight: 'f32',
    ...(v.bias ? { bias: 'f32' as const } : {}),
    ...(v.residual ? { residual: 'f32' as const } : {}),
    ...(v.addressing === 'neighbours' ? { neighbours: 'u32' as const } : {}),
    ...(v.borders ? { crop: 'u32' as const } : {}),
  };
}

export function productWrites(v: ProductVariant): Record<string, 'f32'> {
  return { y: 'f32', ...(v.gelu ? { pre: 'f32' as const } : {}) };
}

/** WGSL shared by every product kernel: `rowOf`, `weightAt`, and the epilogue: `store(m, n, sum, biasRowOf(m))`. */
export function productLibrary(v: ProductVariant): string {
  return `
${rowOf(v.addressing)}
${v.scatter ? rowOf('children', 'childOf') : ''}
${v.gelu ? gelu : ''}
${v.borders ? borderClass : ''}
fn weightAt(tap: u32, k: u32, n: u32) -> u32 {
  return u.base + tap * u.strideTap + k * u.strideInner + n * u.strideColumn;
}
fn biasRowOf(m: u32) -> u32 { return ${v.borders ? 'borderClass(m) * u.columns' : '0u'}; }
fn store(m: u32, n: u32, sum: f32, biasRow: u32) {
  var value = sum${v.bias ? ` + bias[${v.scatter ? 'n % u.perChild' : 'biasRow + n'}]` : ''};
  let at = ${v.scatter ? 'childOf(m, n / u.perChild) * u.perChild + n % u.perChild' : 'm * u.columns + n'};
  ${v.gelu ? 'pre[at] = value; value = gelu(value);' : ''}
  y[at] = value${v.residual ? ' + residual[at]' : ''};
}`;
}

export interface WeightGradientVariant {
  readonly addressing: Addressing;
}

export const WEIGHT_GRADIENT_UNIFORMS = {
  rows: 'u32',
  inner: 'u32',
  columns: 'u32',
  edgeLog2: 'u32',
  splits: 'u32',
  rowsPerSplit: 'u32',
} as const satisfies Record<string, UniformType>;

export function weightGradientReads(v: WeightGradientVariant): Record<string, 'f32' | 'u32'> {
  return { a: 'f32', d: 'f32', ...(v.addressing === 'neighbours' ? { neighbours: 'u32' as const } : {}) };
}

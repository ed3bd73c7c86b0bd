/**
 * The GEMM family: every dense product of the network in two forms, whatever micro-kernel runs it.
 *
 * Product: y[m, n] = epilogue(Σ_tap Σ_k a[rowOf(m, tap), k] · w(tap, k, n)), row m of y being a row, a voxel or a child of one.
 *   Where addressing has several phases (children, batches), each is such a product over its own share of the taps.
 *   The weight's address is base + tap · strideTap + k · strideInner + n · strideColumn modulo 2³²: strides may run
 *   backwards, so that input gradients are the same kernel over the transposed, mirrored weight.
 * Weight gradient: dW(tap, k, n) = Σ_m a[rowOf(m, tap), k] · d[m, n] (with batches d's row is of the tap's matrix), cut into `splits` ranges of rows whose partial sums
 *   [splits, taps, K, N] a second pass adds in order: deterministic without atomics.
 */

import type { ElementType, Sliced, UniformType } from '../lib/kernel.ts';
import { gelu } from '../lib/math.ts';
import { type Addressing, borderClass, isBatched, looksAround, rowOf } from '../lib/rows.ts';

/** What distinguishes one product kernel from another, besides the micro-kernel. */
export interface ProductVariant {
  readonly addressing: Addressing;
  /** y = product, or gelu of it: then `pre` keeps the product for the backward pass. */
  readonly gelu: boolean;
  /** y = product · gelu'(pre): the gradient behind a gelu. */
  readonly slope: boolean;
  readonly bias: boolean;
  /** The bias is [27, N]: a row for each border class (`lib/rows.ts`). */
  readonly borders: boolean;
  /** Most bricks are absent: test for it before working on a tap. For neighbours. */
  readonly skip: boolean;
  /** Adds `residual`, of y's shape, after the activation. */
  readonly residual: boolean;
  /** Column n of row m goes to child n / perChild of voxel m: the transposed convolution of stride 2. */
  readonly scatter: boolean;
  /**
   * a has one more channel, K, which is 1 wherever the row is present: what a bias ahead of the map adds, also at borders.
   * For addressing that looks around.
   */
  readonly constant: boolean;
}

/** Sizes that the choice of a micro-kernel looks at. */
export interface ProductShape {
  readonly rows: number;
  readonly inner: number;
  readonly columns: number;
  /** Of a row's brick; 1 where rows are addressed directly. */
  readonly edge: number;
  /** Weights contiguous along columns. */
  readonly unitStride: boolean;
  /** Rows of `a`, and of the weight whichever way it is contiguous, begin at whole vec4 and are whole numbers of them. */
  readonly vectors: boolean;
  /** `a` is stored as f16, so that matrix units that read f16 round no more of it. */
  readonly half: boolean;
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

/** Kernels for GPUs are cut between tiles of rows. */
export const PRODUCT_SLICES: Sliced = { axis: 0, first: 'firstTile' };

/** @param wide results are stored four at a time, which then go with four of `pre` and `residual` */
export function productReads(v: ProductVariant, wide = false): Record<string, ElementType> {
  const ofResults = wide ? 'vec4f' : 'f32';
  return {
    a: 'f32',
    weight: 'f32',
    ...(v.bias ? { bias: 'f32' as const } : {}),
    ...(v.slope ? { pre: ofResults } : {}),
    ...(v.residual ? { residual: ofResults } : {}),
    ...(looksAround(v.addressing) ? { neighbours: 'u32' as const } : {}),
    ...(v.borders ? { crop: 'u32' as const } : {}),
  };
}

export function productWrites(v: ProductVariant, wide = false): Record<string, ElementType> {
  const ofResults = wide ? 'vec4f' : 'f32';
  return { y: ofResults, ...(v.gelu ? { pre: ofResults } : {}) };
}

/**
 * The composed kernel's place 3 − φ − 2τ on each axis, for child φ and the voxel at φ + τ − 1: see `ops/up-conv3.ts`.
 * A bit of φ or τ moves it by 16, 4 or 1.
 */
const windowOf = `
fn spread(bits: u32) -> u32 { return (bits >> 2u) * 16u + ((bits >> 1u) & 1u) * 4u + (bits & 1u); }
fn windowOf(tap: u32) -> u32 { return 63u - spread(tap >> 3u) - 2u * spread(tap & 7u); }`;

/** A product that keeps its sums to itself: for partial sums. */
export function withoutEpilogue(v: ProductVariant): ProductVariant {
  return { ...v, gelu: false, slope: false, bias: false, borders: false, residual: false, scatter: false };
}

/** WGSL shared by every product kernel: `productRows` and `productEpilogue`. */
export function productLibrary(v: ProductVariant, wide = false): string {
  return productRows(v) + productEpilogue(v, wide);
}

/** Whether four results of a row lie together in memory where columns are whole vec4. */
export function canStoreWide(v: ProductVariant): boolean {
  return !v.scatter;
}

/** WGSL `rowOf` and `weightAt`. */
export function productRows(v: ProductVariant): string {
  const isCorners = v.addressing === 'corners';
  return `
${rowOf(v.addressing)}
${isCorners ? windowOf : ''}
fn weightAt(tap: u32, k: u32, n: u32) -> u32 {
  return u.base + ${isCorners ? 'windowOf(tap)' : 'tap'} * u.strideTap + k * u.strideInner + n * u.strideColumn;
}`;
}

/** WGSL `store(phase, m, n, sum, biasRowOf(m))`: of column n, or of it and the three after it (`wide`). */
export function productEpilogue(v: ProductVariant, wide = false): string {
  const isCorners = v.addressing === 'corners';
  const each = (f: string, x: string) =>
    wide ? `vec4f(${['x', 'y', 'z', 'w'].map((c) => `${f}(${x}.${c})`)})` : `${f}(${x})`;
  const place = isCorners
    ? 'childOf(m, phase) * u.columns + n'
    : isBatched(v.addressing)
      ? '(phase * u.rows + m) * u.columns + n'
      : v.scatter
        ? 'childOf(m, n / u.perChild) * u.perChild + n % u.perChild'
        : 'm * u.columns + n';
  return `
${v.scatter || isCorners ? rowOf('children', 'childOf') : ''}
${v.gelu || v.slope ? gelu : ''}
${v.borders ? borderClass : ''}
fn biasRowOf(m: u32) -> u32 { return ${v.borders ? 'borderClass(m) * u.columns' : '0u'}; }
fn store(phase: u32, m: u32, n: u32, sum: ${wide ? 'vec4f' : 'f32'}, biasRow: u32) {
  var value = sum${v.bias ? ` + ${wide ? `vec4f(${[0, 1, 2, 3].map((i) => `bias[biasRow + n + ${i}u]`)})` : `bias[${v.scatter ? 'n % u.perChild' : 'biasRow + n'}]`}` : ''};
  let at = ${wide ? `(${place}) >> 2u` : place};
  ${v.gelu ? `pre[at] = value; value = ${each('gelu', 'value')};` : ''}
  ${v.slope ? `let before = pre[at]; value *= ${each('geluSlope', 'before')};` : ''}
  y[at] = value${v.residual ? ' + residual[at]' : ''};
}`;
}

export interface WeightGradientVariant {
  readonly addressing: Addressing;
  /** Sums d over the rows as well, the gradient of a bias, into `biasPartials`: d is read anyway. For the strip kernel. */
  readonly bias: boolean;
}

export interface WeightGradientShape {
  readonly rows: number;
  readonly inner: number;
  readonly columns: number;
  readonly edge: number;
  readonly taps: number;
  /** Rows of both factors are whole numbers of vec4. */
  readonly vectors: boolean;
  /** Both factors are stored as f16. */
  readonly half: boolean;
}

/** A launch of the family that several micro-kernels can do: what a tuner measures. */
export type Tunable =
  | { readonly form: 'product'; readonly variant: ProductVariant; readonly shape: ProductShape }
  | {
      readonly form: 'weight gradient';
      readonly variant: WeightGradientVariant;
      readonly shape: WeightGradientShape;
    };

export const WEIGHT_GRADIENT_UNIFORMS = {
  rows: 'u32',
  inner: 'u32',
  columns: 'u32',
  edgeLog2: 'u32',
  splits: 'u32',
  rowsPerSplit: 'u32',
} as const satisfies Record<string, UniformType>;

/** Kernels for GPUs are cut between splits. */
export const WEIGHT_GRADIENT_SLICES: Sliced = { axis: 2, first: 'firstSplit' };

export function weightGradientReads(v: WeightGradientVariant): Record<string, 'f32' | 'u32'> {
  return { a: 'f32', d: 'f32', ...(looksAround(v.addressing) ? { neighbours: 'u32' as const } : {}) };
}

/** WGSL `rowOf` and `rowOfD(m, tap)`, the row of d that meets it. */
export function weightGradientLibrary(v: WeightGradientVariant): string {
  return `${rowOf(v.addressing)}
${rowOf(isBatched(v.addressing) ? v.addressing : 'rows', 'rowOfD')}`;
}

/** Recording the GEMM family: which micro-kernel, how many splits, how large a launch. Used by linear and convolution ops. */

import type { ProductVariant } from '../../shaders/gemm/family.ts';
import { weightGradientFinishKernel } from '../../shaders/gemm/plain.wgsl.ts';
import { WORKGROUP } from '../../shaders/lib/kernel.ts';
import { type Addressing, TAPS } from '../../shaders/lib/rows.ts';
import { foldWorkgroups, type Recorder } from '../tape/op.ts';
import type { Tensor } from '../tape/tensor.ts';
import { chooseProduct, chooseWeightGradient } from './gemm-table.ts';

/** Where weight(tap, k, n) lies: base + tap · strideTap + k · strideInner + n · strideColumn. */
export interface WeightLayout {
  readonly base?: number;
  readonly strideTap: number;
  readonly strideInner: number;
  readonly strideColumn: number;
}

export interface Product {
  readonly addressing: Addressing;
  readonly a: Tensor;
  readonly weight: Tensor;
  readonly layout: WeightLayout;
  readonly bias?: Tensor;
  readonly residual?: Tensor;
  readonly neighbours?: Tensor;
  /** Rows M of the product (with batches of each), its inner size K and its columns N. */
  readonly rows: number;
  readonly inner: number;
  readonly columns: number;
  /** Edge of a row's brick, unless rows are addressed directly. */
  readonly edge?: number;
  readonly y: Tensor;
  /** Present when y = gelu(product): receives the product. */
  readonly pre?: Tensor;
  /** Present for the transposed convolution: columns of each child. */
  readonly perChild?: number;
  /** `a` has one more channel, `inner`, which is 1 wherever a row is present. */
  readonly constant?: boolean;
}

/** Records y = epilogue(product). */
export function recordProduct(recorder: Recorder, p: Product): void {
  const variant: ProductVariant = {
    addressing: p.addressing,
    gelu: p.pre !== undefined,
    bias: p.bias !== undefined,
    residual: p.residual !== undefined,
    scatter: p.perChild !== undefined,
    constant: p.constant ?? false,
  };
  const { rows, inner, columns } = p;
  const unitStride = p.layout.strideColumn === 1;
  const { edge = 1 } = p;
  const choice = chooseProduct(recorder.target, variant, { rows, inner, columns, edge, unitStride });
  const { a, weight, bias, residual, neighbours, y, pre } = p;
  recorder.dispatch(
    choice.kernel,
    { a, weight, bias, residual, neighbours, y, pre },
    {
      uniforms: {
        ...choice.uniforms,
        rows,
        inner,
        columns,
        edgeLog2: Math.log2(edge),
        base: p.layout.base ?? 0,
        strideTap: p.layout.strideTap,
        strideInner: p.layout.strideInner,
        strideColumn: p.layout.strideColumn,
        perChild: p.perChild ?? columns,
      },
      workgroups: choice.workgroups,
      flops: 2 * rows * inner * columns * TAPS[p.addressing],
    },
  );
}

export interface WeightGradient {
  readonly addressing: Addressing;
  readonly a: Tensor;
  readonly d: Tensor;
  readonly neighbours?: Tensor;
  readonly rows: number;
  readonly inner: number;
  readonly columns: number;
  readonly edge?: number;
  readonly dWeight: Tensor;
  readonly layout: WeightLayout;
}

/** Records dWeight = Σ_m a[rowOf(m, tap)] ⊗ d[m]. */
export function recordWeightGradient(recorder: Recorder, w: WeightGradient): void {
  const { rows, inner, columns, edge = 1 } = w;
  const taps = TAPS[w.addressing];
  const choice = chooseWeightGradient(
    recorder.target,
    { addressing: w.addressing },
    { rows, inner, columns, edge, taps },
  );
  const count = taps * inner * columns;
  const { strideTap, strideInner, strideColumn } = w.layout;
  // One sum in the order of the kernel's is the result itself.
  const isWhole = choice.splits === 1 && strideColumn === 1 && strideInner === columns && strideTap === inner * columns;
  const partials = isWhole ? w.dWeight : recorder.tensor('partials', [choice.splits, count]);
  recorder.dispatch(
    choice.kernel,
    { a: w.a, d: w.d, partials, neighbours: w.neighbours },
    {
      uniforms: {
        ...choice.uniforms,
        rows,
        inner,
        columns,
        edgeLog2: Math.log2(edge),
        splits: choice.splits,
        rowsPerSplit: choice.rowsPerSplit,
      },
      workgroups: choice.workgroups,
      flops: 2 * rows * count,
    },
  );
  if (isWhole) return;
  recorder.dispatch(
    weightGradientFinishKernel(),
    { partials, dWeight: w.dWeight },
    {
      uniforms: { count, splits: choice.splits, inner, columns, strideTap, strideInner, strideColumn },
      workgroups: foldWorkgroups(count, WORKGROUP),
    },
  );
}

/** Recording the GEMM family: which micro-kernel, how many splits, how large a launch. Used by linear and convolution ops. */

import type { ProductShape, ProductVariant } from '../../shaders/gemm/family.ts';
import { productFinishKernel, weightGradientFinishKernel } from '../../shaders/gemm/finish.wgsl.ts';
import { type Addressing, TAPS } from '../../shaders/lib/rows.ts';
import { type Recorder, readsAhead } from '../tape/op.ts';
import type { Tensor } from '../tape/tensor.ts';
import { PLAIN_SUM, recordColumnFinish, recordColumnSums } from './column-sums.ts';
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
  /** Present when the bias is [27, N], a row a border class: neighbours of the table of all bricks. */
  readonly crop?: Tensor;
  readonly residual?: Tensor;
  readonly neighbours?: Tensor;
  /** Share of bricks that are present, where many are not: kernels then test for absent taps. Neighbours only. */
  readonly present?: number;
  /** Rows M of the product (with batches of each), its inner size K and its columns N. */
  readonly rows: number;
  readonly inner: number;
  readonly columns: number;
  /** Edge of a row's brick, unless rows are addressed directly. */
  readonly edge?: number;
  readonly y: Tensor;
  /** Present when y = gelu(product): receives the product. */
  readonly pre?: Tensor;
  /** Present when y = product · gelu'(slopeAt). */
  readonly slopeAt?: Tensor;
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
    slope: p.slopeAt !== undefined,
    bias: p.bias !== undefined,
    borders: p.crop !== undefined,
    skip: (p.present ?? 1) < 1,
    residual: p.residual !== undefined,
    scatter: p.perChild !== undefined,
    constant: p.constant ?? false,
  };
  const { rows, inner, columns } = p;
  const { edge = 1 } = p;
  const shape = { rows, inner, columns, edge, ...contiguity(p), half: p.a.storage === 'f16' };
  const choice = chooseProduct(recorder.target, variant, shape);
  const { a, weight, bias, residual, neighbours, crop, y, pre = p.slopeAt } = p;
  const operands = { a, weight, bias, residual, neighbours, crop, y, pre };
  const { splits } = choice;
  const partials = splits ? recorder.tensor('partials', [splits, y.size]) : undefined;
  const uniforms = {
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
  };
  recorder.dispatch(
    choice.kernel,
    { ...operands, partials },
    {
      uniforms,
      workgroups: choice.workgroups,
      flops: 2 * rows * inner * columns * TAPS[p.addressing] * (p.present ?? 1),
      tunable: { form: 'product', variant, shape, operands },
    },
  );
  if (!splits) return;
  const finish = productFinishKernel(variant, readsAhead(recorder.target));
  recorder.dispatch(finish, { ...operands, partials }, { uniforms: { ...uniforms, count: y.size, splits } });
}

/** How a product's factors lie: see `ProductShape`. */
function contiguity({ layout, inner, columns }: Product): Pick<ProductShape, 'unitStride' | 'vectors'> {
  const { base = 0, strideTap, strideInner, strideColumn } = layout;
  const unitStride = strideColumn === 1;
  const steps = unitStride ? [strideInner, columns] : [strideColumn];
  const vectors = [inner, base, strideTap, ...steps].every((size) => size % 4 === 0);
  return { unitStride, vectors: vectors && (unitStride || strideInner === 1) };
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
  /** Asks for the sum of d over the rows too, the gradient of a bias. */
  readonly bias?: boolean;
  /** Adds perTap [taps, inner] ⊗ perColumn [columns]. */
  readonly outer?: { readonly perTap: Tensor; readonly perColumn: Tensor };
}

/** Records dWeight[tap] = Σ_m a[rowOf(m, tap)] ⊗ d[m] + outer. Returns Σ_m d[m], [columns], if asked for. */
export function recordWeightGradient(recorder: Recorder, w: WeightGradient): Tensor | undefined {
  const { rows, inner, columns, edge = 1 } = w;
  const taps = TAPS[w.addressing];
  const variant = { addressing: w.addressing, bias: w.bias ?? false };
  const half = w.a.storage === 'f16' && w.d.storage === 'f16';
  const vectors = inner % 4 === 0 && columns % 4 === 0;
  const shape = { rows, inner, columns, edge, taps, vectors, half };
  const choice = chooseWeightGradient(recorder.target, variant, shape);
  const count = taps * inner * columns;
  const { base = 0, strideTap, strideInner, strideColumn } = w.layout;
  const isDense =
    base === 0 && strideColumn === 1 && strideInner === columns && (taps === 1 || strideTap === inner * columns);
  // One sum in the order of the kernel's is the result itself.
  const isWhole = choice.splits === 1 && isDense && w.outer === undefined;
  const partials = isWhole ? w.dWeight : recorder.tensor('partials', [choice.splits, count]);
  const biasPartials = choice.biasRows ? recorder.tensor('biasPartials', [choice.biasRows, columns]) : undefined;
  recorder.dispatch(
    choice.kernel,
    { a: w.a, d: w.d, partials, biasPartials, neighbours: w.neighbours },
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
      tunable: { form: 'weight gradient', variant, shape, operands: { a: w.a, d: w.d, neighbours: w.neighbours } },
    },
  );
  if (!isWhole) recordSplits(recorder, w, partials, choice.splits, isDense);
  if (!w.bias) return undefined;
  const [dBias] = biasPartials
    ? recordColumnFinish(recorder, biasPartials, 1, choice.biasRows!, columns, [columns])
    : recordColumnSums(recorder, PLAIN_SUM, { x: w.d }, { rows, channels: columns });
  return dBias;
}

/** Adds the splits' partial sums up, at once where they are not laid out as the weight is. */
function recordSplits(recorder: Recorder, w: WeightGradient, partials: Tensor, splits: number, isDense: boolean): void {
  const { inner, columns } = w;
  const { base = 0, strideTap, strideInner, strideColumn } = w.layout;
  const count = partials.size / splits;
  const finish = () =>
    recorder.dispatch(
      weightGradientFinishKernel(w.outer !== undefined, readsAhead(recorder.target)),
      { partials, ...w.outer, dWeight: w.dWeight },
      { uniforms: { count, splits, inner, columns, base, strideTap, strideInner, strideColumn } },
    );
  if (isDense && !w.outer) recorder.addUp(w.dWeight, { partials, first: 0, splits }, finish);
  else finish();
}

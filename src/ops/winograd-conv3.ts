/**
 * The 3³ convolution of `conv3` by Winograd's algorithm F(2, 3) on each axis: 2³ results need 4³ = 64 products instead of 27 · 8 = 216, between
 * transforms that only add and halve. In f32 it is as accurate as the sum over taps.
 *
 * A cube of 2³ voxels is a row of the grid half as fine. From the 4³ values around it come its 64 points (Bᵀ x), from the 27 taps those of
 * the weight (G w); each point is a matrix product of its own, and the results come from the products at all points (Aᵀ m). The weight's gradient
 * goes the same way back: Gᵀ (points of x ⊗ A dy). The gradient of x is the convolution of dy with the mirrored, transposed weight.
 *
 * The points of a map are 8 times as large as the map, so a launch takes a chunk of the rows, which also keeps them in a GPU's cache.
 */

import { addKernel } from '../../shaders/elementwise.wgsl.ts';
import { winogradInputKernel, winogradOutputKernel, winogradSpreadKernel } from '../../shaders/winograd.wgsl.ts';
import type { BrickTable } from '../bricks/table.ts';
import { defineOp, need, needRank, needShape, type Recorder } from '../tape/op.ts';
import type { Tensor } from '../tape/tensor.ts';
import { PLAIN_SUM, recordColumnSums } from './column-sums.ts';
import type { Conv3Inputs } from './conv3.ts';
import { type CubeLayout, matrix, transform, transposed } from './cube-transform.ts';
import { recordProduct, recordWeightGradient } from './gemm.ts';
import { edgeOn, perElement } from './shapes.ts';

const NAME = 'winogradConv3';
const POINTS = 64;
/** Values of w₋₁ + w₀ z + w₁ z² at 0, 1, −1 and ∞, those at ±1 halved. */
const TAPS = matrix('winogradTaps', [[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]]); // biome-ignore format: a matrix
/** Of a map's points that are held at a time. */
const CHUNK_BYTES = 64 * 1024 * 1024;

/** Inputs are those of `conv3`, on bricks of edge 2 at least. */
export const winogradConv3 = defineOp({
  name: NAME,

  infer({ x, weight, bias }: Conv3Inputs, table: BrickTable) {
    const edge = edgeOn(NAME, 'x', x, table);
    need(edge >= 2, `${NAME}: argument "x"`, 'bricks of one voxel', 'bricks of edge 2, 4, 8 …');
    needRank(NAME, 'weight', weight, 3, '[27, input channels, output channels]');
    const columns = weight.shape[2]!;
    needShape(NAME, 'weight', weight, [27, x.channels, columns]);
    if (bias) needShape(NAME, 'bias', bias, [columns]);
    return [x.shape[0]!, x.shape[1]!, columns];
  },

  forward(recorder, { x, weight, bias }, table, y) {
    const [, inner, columns] = weight.shape as [number, number, number];
    recordConvolution(recorder, table, { x, weight, layout: { point: inner * columns, row: columns }, bias, y });
  },

  backward(recorder, { inputs: { x, weight }, attributes: table, dy, needs, gradientSoFar }) {
    const [, inner, columns] = weight.shape as [number, number, number];
    let dx: Tensor | undefined;
    if (needs('x')) {
      dx = recorder.like('dx', x);
      const mirrored = { base: 26 * inner * columns, point: -inner * columns, row: 1, column: columns };
      recordConvolution(recorder, table, { x: dy, weight, layout: mirrored, residual: gradientSoFar('x'), y: dx });
    }
    const dWeight = needs('weight') ? recordGradient(recorder, table, x, dy, weight) : undefined;
    const dBias = needs('bias')
      ? recordColumnSums(recorder, PLAIN_SUM, { x: dy }, { rows: x.rows, channels: columns })[0]
      : undefined;
    return { x: dx, weight: dWeight, bias: dBias };
  },
});

interface Convolution {
  readonly x: Tensor;
  readonly weight: Tensor;
  /** From tap, input channel and output channel to the weight. */
  readonly layout: CubeLayout;
  readonly bias?: Tensor;
  readonly residual?: Tensor;
  readonly y: Tensor;
}

function recordConvolution(recorder: Recorder, table: BrickTable, c: Convolution): void {
  const { x, y, bias, residual } = c;
  const [inner, columns] = [x.channels, y.channels];
  const weights = recorder.tensor('weightPoints', [POINTS, inner, columns]);
  transform(recorder, TAPS, c.weight, weights, c.layout);
  const output = winogradOutputKernel(bias !== undefined, residual !== undefined);
  for (const chunk of chunksOf(x, Math.max(inner, columns))) {
    const points = recordPoints(recorder, table, x, chunk);
    const products = recorder.tensor('products', [POINTS, chunk.rows, columns]);
    recordProduct(recorder, {
      addressing: 'batches',
      a: points,
      weight: weights,
      layout: { strideTap: inner * columns, strideInner: columns, strideColumn: 1 },
      rows: chunk.rows,
      inner,
      columns,
      y: products,
    });
    recorder.dispatch(output, { points: products, bias, residual, y }, launchOf(chunk, columns));
  }
}

/** Records the weight's gradient. */
function recordGradient(recorder: Recorder, table: BrickTable, x: Tensor, dy: Tensor, weight: Tensor): Tensor {
  const [inner, columns] = [x.channels, dy.channels];
  let total: Tensor | undefined;
  for (const chunk of chunksOf(x, Math.max(inner, columns))) {
    const points = recordPoints(recorder, table, x, chunk);
    const spread = recorder.tensor('dProducts', [POINTS, chunk.rows, columns]);
    recorder.dispatch(winogradSpreadKernel(), { dy, points: spread }, launchOf(chunk, columns));
    const sums = recorder.tensor('dWeightPoints', [POINTS, inner, columns]);
    recordWeightGradient(recorder, {
      addressing: 'batches',
      a: points,
      d: spread,
      rows: chunk.rows,
      inner,
      columns,
      dWeight: sums,
      layout: { strideTap: inner * columns, strideInner: columns, strideColumn: 1 },
    });
    if (total) {
      const both = recorder.tensor('dWeightPoints', sums.shape);
      recorder.dispatch(addKernel(), { a: total, b: sums, y: both }, perElement(sums.size));
      total = both;
    } else total = sums;
  }
  const dWeight = recorder.tensor('dWeight', weight.shape);
  transform(recorder, transposed(TAPS), total!, dWeight, { point: inner * columns, row: columns });
  return dWeight;
}

/** Some coarse rows. */
interface Chunk {
  readonly firstRow: number;
  readonly rows: number;
  readonly edgeLog2: number;
}

function chunksOf(x: Tensor, channels: number): readonly Chunk[] {
  const rows = x.rows / 8;
  const edgeLog2 = Math.log2(Math.cbrt(x.shape[1]!)) - 1;
  const count = Math.ceil((4 * POINTS * rows * channels) / CHUNK_BYTES);
  const each = Math.ceil(rows / count);
  return Array.from({ length: Math.ceil(rows / each) }, (_, i) => ({
    firstRow: i * each,
    rows: Math.min(each, rows - i * each),
    edgeLog2: Math.round(edgeLog2),
  }));
}

function launchOf(chunk: Chunk, channels: number) {
  return perElement(chunk.rows * channels, { channels, ...chunk });
}

function recordPoints(recorder: Recorder, { neighbours }: BrickTable, x: Tensor, chunk: Chunk): Tensor {
  const points = recorder.tensor('points', [POINTS, chunk.rows, x.channels]);
  recorder.dispatch(winogradInputKernel(), { x, neighbours, points }, launchOf(chunk, x.channels));
  return points;
}

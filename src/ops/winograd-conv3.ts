/**
 * The 3³ convolution of `conv3` by Winograd's algorithm, F(2, 3) or F(4, 3) on each axis: a tile of 2 × 4 × 4 voxels needs 4 · 6 · 6 = 144 products
 * instead of 27 · 32 = 864, between transforms of its values, of the weight and of the results. In f32 it is as accurate as the sum over taps.
 *
 * From the values in and around a tile come its points, from the 27 taps those of the weight; each point is a matrix product of its own with
 * a row for each tile, and the results come from the products at all points. The weight's gradient goes the same way back: (points of x) ⊗ (dy at
 * the products). The gradient of x is the convolution of dy with the mirrored, transposed weight.
 *
 * The points of a map are 4.5 times as large as the map, with tiles of 2³ 8 times. So a launch takes a chunk of the rows.
 */

import { addKernel } from '../../shaders/elementwise.wgsl.ts';
import { transposed } from '../../shaders/lib/cube.ts';
import { batchesOf } from '../../shaders/lib/rows.ts';
import { pointsOfTile, type Tile, transformOf } from '../../shaders/lib/winograd.ts';
import { winogradInputKernel, winogradOutputKernel, winogradSpreadKernel } from '../../shaders/winograd.wgsl.ts';
import type { BrickTable } from '../bricks/table.ts';
import { defineOp, need, needRank, needShape, type Recorder } from '../tape/op.ts';
import type { Tensor } from '../tape/tensor.ts';
import { PLAIN_SUM, recordColumnSums } from './column-sums.ts';
import type { Conv3Inputs } from './conv3.ts';
import { type CubeLayout, transform } from './cube-transform.ts';
import { recordProduct, recordWeightGradient } from './gemm.ts';
import { edgeOn, perElement } from './shapes.ts';
import { type Chunk, chunksOf, launchOfChunk } from './winograd-chunks.ts';

const NAME = 'winogradConv3';
export interface WinogradConv3Attributes {
  readonly table: BrickTable;
  /** Divides a brick. */
  readonly tile: Tile;
}

/** Inputs are those of `conv3`. */
export const winogradConv3 = defineOp({
  name: NAME,

  infer({ x, weight, bias }: Conv3Inputs, { table, tile }: WinogradConv3Attributes) {
    const edge = edgeOn(NAME, 'x', x, table);
    const fits = tile.every((voxels) => voxels <= edge);
    need(fits, `${NAME}: argument "x"`, `bricks of edge ${edge}`, `tiles of ${tile.join(' × ')} voxels in them`);
    needRank(NAME, 'weight', weight, 3, '[27, input channels, output channels]');
    const columns = weight.shape[2]!;
    needShape(NAME, 'weight', weight, [27, x.channels, columns]);
    if (bias) needShape(NAME, 'bias', bias, [columns]);
    return [x.shape[0]!, x.shape[1]!, columns];
  },

  forward(recorder, { x, weight, bias }, attributes, y) {
    const [, inner, columns] = weight.shape as [number, number, number];
    const layout = { point: inner * columns, row: columns };
    recordConvolution(recorder, attributes, { x, weight, layout, bias, y });
  },

  backward(recorder, { inputs: { x, weight }, attributes, dy, needs, gradientSoFar }) {
    const [, inner, columns] = weight.shape as [number, number, number];
    let dx: Tensor | undefined;
    if (needs('x')) {
      dx = recorder.like('dx', x);
      const mirrored = { base: 26 * inner * columns, point: -inner * columns, row: 1, column: columns };
      recordConvolution(recorder, attributes, { x: dy, weight, layout: mirrored, residual: gradientSoFar('x'), y: dx });
    }
    const dWeight = needs('weight') ? recordGradient(recorder, attributes, x, dy, weight) : undefined;
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

function recordConvolution(recorder: Recorder, attributes: WinogradConv3Attributes, c: Convolution): void {
  const { tile } = attributes;
  const { x, y, bias, residual } = c;
  const [inner, columns] = [x.channels, y.channels];
  const points = pointsOfTile(tile, 3);
  const chunks = chunksOf(recorder.target, tile, x, points * Math.max(inner, columns));
  const weights = recorder.tensor('weightPoints', [points, inner, columns]);
  transform(recorder, transformOf(tile, 3, 'taps'), c.weight, weights, c.layout);
  const output = winogradOutputKernel(tile, 3, bias !== undefined, residual !== undefined);
  for (const chunk of chunks) {
    const values = recordPoints(recorder, attributes, x, chunk);
    const products = recorder.tensor('products', [points, chunk.rows, columns]);
    recordProduct(recorder, {
      addressing: batchesOf(points),
      a: values,
      weight: weights,
      layout: { strideTap: inner * columns, strideInner: columns, strideColumn: 1 },
      rows: chunk.rows,
      inner,
      columns,
      y: products,
    });
    recorder.dispatch(output, { points: products, bias, residual, y }, launchOfChunk(chunk, columns));
  }
}

/** Records the weight's gradient. */
function recordGradient(
  recorder: Recorder,
  attributes: WinogradConv3Attributes,
  x: Tensor,
  dy: Tensor,
  weight: Tensor,
): Tensor {
  const { tile } = attributes;
  const [inner, columns] = [x.channels, dy.channels];
  const points = pointsOfTile(tile, 3);
  const chunks = chunksOf(recorder.target, tile, x, points * Math.max(inner, columns));
  let total: Tensor | undefined;
  for (const chunk of chunks) {
    const values = recordPoints(recorder, attributes, x, chunk);
    const spread = recorder.tensor('dProducts', [points, chunk.rows, columns]);
    recorder.dispatch(winogradSpreadKernel(tile, 3), { dy, points: spread }, launchOfChunk(chunk, columns));
    const sums = recorder.tensor('dWeightPoints', [points, inner, columns]);
    recordWeightGradient(recorder, {
      addressing: batchesOf(points),
      a: values,
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
  transform(recorder, transposed(transformOf(tile, 3, 'taps')), total!, dWeight, {
    point: inner * columns,
    row: columns,
  });
  return dWeight;
}

function recordPoints(recorder: Recorder, { table, tile }: WinogradConv3Attributes, x: Tensor, chunk: Chunk): Tensor {
  const { neighbours } = table;
  const points = recorder.tensor('points', [pointsOfTile(tile, 3), chunk.rows, x.channels]);
  recorder.dispatch(winogradInputKernel(tile), { x, neighbours, points }, launchOfChunk(chunk, x.channels));
  return points;
}

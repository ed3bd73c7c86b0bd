/**
 * Recording 3³ convolutions by Winograd's algorithm, F(2, 3) or F(4, 3) on each axis: a tile of 2 × 4 × 4 voxels needs 4 · 6 · 6 = 144 products instead of 27 ·
 * 32 = 864, between transforms of its values, of the weight and of the results. In f32 it is as accurate as the sum over taps.
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
import type { Recorder } from '../tape/op.ts';
import type { Tensor } from '../tape/tensor.ts';
import { type CubeLayout, transform } from './cube-transform.ts';
import { recordProduct, recordWeightGradient } from './gemm.ts';
import { perElement } from './shapes.ts';
import { type Chunk, chunksOf, launchOfChunk } from './winograd-chunks.ts';

/** The map that a convolution reads, from the bricks of another. */
interface Gathered {
  readonly tile: Tile;
  /** [bricks, edge³, K] */
  readonly x: Tensor;
  /** [bricks of y, 27]: the bricks of x around each of y's. */
  readonly neighbours: Tensor;
}

export interface WinogradConvolution extends Gathered {
  readonly weight: Tensor;
  /** From tap, input channel and output channel to the weight. */
  readonly layout: CubeLayout;
  /** [N], or with `crop` [27, N], a row a border class. */
  readonly bias?: Tensor;
  /** Neighbours of the table of all bricks, which y then has. */
  readonly crop?: Tensor;
  readonly residual?: Tensor;
  /** [bricks, edge³, N] */
  readonly y: Tensor;
}

/** Records y. */
export function recordWinograd(recorder: Recorder, c: WinogradConvolution): void {
  const { tile, x, y, bias, crop, residual } = c;
  const [inner, columns] = [x.channels, y.channels];
  const points = pointsOfTile(tile, 3);
  const weights = recorder.tensor('weightPoints', [points, inner, columns]);
  transform(recorder, transformOf(tile, 3, 'taps'), c.weight, weights, c.layout);
  const output = winogradOutputKernel(tile, 3, {
    bias: bias !== undefined,
    borders: crop !== undefined,
    residual: residual !== undefined,
  });
  for (const chunk of chunksOf(recorder.target, tile, y, points * Math.max(inner, columns))) {
    const values = recordPoints(recorder, c, chunk);
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
    recorder.dispatch(output, { points: products, bias, crop, residual, y }, launchOfChunk(chunk, columns));
  }
}

export interface WinogradGradient extends Gathered {
  /** [bricks, edge³, N] */
  readonly dy: Tensor;
  /** [27, K, N] */
  readonly dWeight: Tensor;
}

/** Records dWeight. */
export function recordWinogradGradient(recorder: Recorder, g: WinogradGradient): void {
  const { tile, x, dy, dWeight } = g;
  const [inner, columns] = [x.channels, dy.channels];
  const points = pointsOfTile(tile, 3);
  let total: Tensor | undefined;
  for (const chunk of chunksOf(recorder.target, tile, dy, points * Math.max(inner, columns))) {
    const values = recordPoints(recorder, g, chunk);
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
  const back = transposed(transformOf(tile, 3, 'taps'));
  transform(recorder, back, total!, dWeight, { point: inner * columns, row: columns });
}

function recordPoints(recorder: Recorder, { tile, x, neighbours }: Gathered, chunk: Chunk): Tensor {
  const points = recorder.tensor('points', [pointsOfTile(tile, 3), chunk.rows, x.channels]);
  recorder.dispatch(winogradInputKernel(tile), { x, neighbours, points }, launchOfChunk(chunk, x.channels));
  return points;
}

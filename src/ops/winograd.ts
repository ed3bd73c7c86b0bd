/**
 * Recording 3³ convolutions by Winograd's algorithm, F(2, 3) or F(4, 3) on each axis: a tile of 2 × 4 × 4 voxels needs 4 · 6 · 6 = 144 products instead of 27 ·
 * 32 = 864, between transforms of its values, of the weight and of the results. In f32 it is as accurate as the sum over taps.
 *
 * From the values in and around a tile come its points, from the 27 taps those of the weight; each point is a matrix product of its own with
 * a row for each tile, and the results come from the products at all points. The gradient of x is the convolution of dy with the mirrored, transposed weight;
 * that weight's gradient goes the same way back, (points of dy) ⊗ (x at the products), so that dy is transformed once.
 *
 * The points of a map are 4.5 times as large as the map, with tiles of 2³ 8 times. So a launch takes a chunk of the rows.
 */

import { addKernel } from '../../shaders/elementwise.wgsl.ts';
import { mirrored, transposed } from '../../shaders/lib/cube.ts';
import { batchesOf } from '../../shaders/lib/rows.ts';
import { pointsOfTile, type Tile, transformOf } from '../../shaders/lib/winograd.ts';
import { winogradInputKernel, winogradOutputKernel, winogradSpreadKernel } from '../../shaders/winograd.wgsl.ts';
import type { Recorder } from '../tape/op.ts';
import type { Tensor } from '../tape/tensor.ts';
import { transform } from './cube-transform.ts';
import { recordProduct, recordWeightGradient } from './gemm.ts';
import { perElement } from './shapes.ts';
import { type Chunk, chunksOf, launchOfChunk } from './winograd-chunks.ts';

export interface WinogradConvolution {
  readonly tile: Tile;
  /** [bricks, edge³, K] */
  readonly x: Tensor;
  /** [bricks of y, 27]: the bricks of x around each of y's. */
  readonly neighbours: Tensor;
  /** [27, K, N] */
  readonly weight: Tensor;
  /** [N], or with `crop` [27, N], a row a border class. */
  readonly bias?: Tensor;
  /** Neighbours of the table of all bricks, which y then has. */
  readonly crop?: Tensor;
  /** [bricks, edge³, N] */
  readonly y: Tensor;
}

/** Records y. */
export function recordWinograd(recorder: Recorder, c: WinogradConvolution): void {
  const { tile, x, neighbours, bias, crop, y } = c;
  const [inner, columns] = [x.channels, y.channels];
  const points = pointsOfTile(tile, 3);
  const weights = recorder.tensor('weightPoints', [points, inner, columns]);
  transform(recorder, transformOf(tile, 3, 'taps'), c.weight, weights, { point: inner * columns, row: columns });
  const output = winogradOutputKernel(tile, 3, { bias: bias !== undefined, borders: crop !== undefined });
  for (const chunk of chunksOf(recorder.target, tile, y, points * Math.max(inner, columns))) {
    const values = recordPoints(recorder, tile, x, neighbours, chunk);
    const products = recordProducts(recorder, values, weights, chunk, columns);
    recorder.dispatch(output, { points: products, bias, crop, y }, launchOfChunk(chunk, columns));
  }
}

export interface WinogradGradients {
  readonly tile: Tile;
  /** [bricks, edge³, K] */
  readonly x: Tensor;
  /** [bricks of y, edge³, N] */
  readonly dy: Tensor;
  /** [bricks of x, 27]: the bricks of dy around each of x's. */
  readonly neighbours: Tensor;
  /** [27, K, N] */
  readonly weight: Tensor;
  /** Recorded where it is given, plus `residual`; of x's shape. */
  readonly dx?: Tensor;
  readonly residual?: Tensor;
  /** Recorded where it is given: [27, K, N], or `turned`, 26 − tap first and output channels before input channels, [27, N, K]. */
  readonly dWeight?: Tensor;
  readonly turned?: boolean;
}

/** Records the gradients that are asked for. */
export function recordWinogradGradients(recorder: Recorder, g: WinogradGradients): void {
  const { tile, x, dy, neighbours, dx, residual, dWeight } = g;
  const [inner, columns] = [x.channels, dy.channels];
  const points = pointsOfTile(tile, 3);
  const ofTaps = transformOf(tile, 3, 'taps');
  const weights = dx && recorder.tensor('weightPoints', [points, columns, inner]);
  if (weights) {
    const other = { base: 26 * inner * columns, point: -inner * columns, row: 1, column: columns };
    transform(recorder, ofTaps, g.weight, weights, other);
  }
  const output = winogradOutputKernel(tile, 3, { residual: residual !== undefined });
  let total: Tensor | undefined;
  for (const chunk of chunksOf(recorder.target, tile, x, points * Math.max(inner, columns))) {
    const values = recordPoints(recorder, tile, dy, neighbours, chunk);
    if (dx && weights) {
      const products = recordProducts(recorder, values, weights, chunk, inner);
      recorder.dispatch(output, { points: products, residual, y: dx }, launchOfChunk(chunk, inner));
    }
    if (dWeight) {
      const spread = recorder.tensor('xPoints', [points, chunk.rows, inner]);
      recorder.dispatch(winogradSpreadKernel(tile, 3), { x, points: spread }, launchOfChunk(chunk, inner));
      total = addPoints(recorder, total, recordPointsGradient(recorder, values, spread));
    }
  }
  if (!dWeight) return;
  const back = transposed(ofTaps);
  if (g.turned) transform(recorder, back, total!, dWeight, { point: columns * inner, row: inner });
  else transform(recorder, mirrored(back), total!, dWeight, { point: columns * inner, row: 1, column: inner });
}

function recordPoints(recorder: Recorder, tile: Tile, x: Tensor, neighbours: Tensor, chunk: Chunk): Tensor {
  const points = recorder.tensor('points', [pointsOfTile(tile, 3), chunk.rows, x.channels]);
  recorder.dispatch(winogradInputKernel(tile), { x, neighbours, points }, launchOfChunk(chunk, x.channels));
  return points;
}

/** Records values [points, rows, K] · weights [points, K, N], [points, rows, N]. */
export function recordProducts(
  recorder: Recorder,
  values: Tensor,
  weight: Tensor,
  { rows }: Chunk,
  columns: number,
): Tensor {
  const [points, inner] = [values.shape[0]!, values.channels];
  const y = recorder.tensor('products', [points, rows, columns]);
  const layout = { strideTap: inner * columns, strideInner: columns, strideColumn: 1 };
  recordProduct(recorder, { addressing: batchesOf(points), a: values, weight, layout, rows, inner, columns, y });
  return y;
}

/** Records Σ over rows of values [points, rows, K] ⊗ spread [points, rows, N], [points, K, N]. */
export function recordPointsGradient(recorder: Recorder, a: Tensor, d: Tensor): Tensor {
  const [points, rows, inner] = a.shape as [number, number, number];
  const columns = d.channels;
  const dWeight = recorder.tensor('dWeightPoints', [points, inner, columns]);
  const layout = { strideTap: inner * columns, strideInner: columns, strideColumn: 1 };
  recordWeightGradient(recorder, { addressing: batchesOf(points), a, d, rows, inner, columns, dWeight, layout });
  return dWeight;
}

/** Records the sum of what chunks give. */
export function addPoints(recorder: Recorder, total: Tensor | undefined, sums: Tensor): Tensor {
  if (!total) return sums;
  const both = recorder.tensor('dWeightPoints', sums.shape);
  recorder.dispatch(addKernel(), { a: total, b: sums, y: both }, perElement(sums.size));
  return both;
}

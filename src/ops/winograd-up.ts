/**
 * The map of `upConv3`, a transposed convolution of kernel 4, stride 2 and padding 1, by Winograd's algorithm. On an axis the fine voxels 2c + φ of one
 * phase φ are a convolution of two taps over the coarse map; so F(2, 2), F(4, 2) and F(4, 2) make 32 of them by 75 products instead of 256.
 *
 * Forward each of 8 phases has points of its own. Backward the phases of dy lie side by side as 8 · N channels, for dx is the sum of their convolutions; with
 * what the tiles of x go back to they give the composed kernel's gradient.
 */

import { pointsOfTile, type Tile } from '../../shaders/lib/winograd.ts';
import { winogradOutputKernel, winogradSpreadKernel } from '../../shaders/winograd.wgsl.ts';
import {
  winogradDownInputKernel,
  winogradUpInputKernel,
  winogradUpOutputKernel,
  winogradUpTapsGradientKernel,
  winogradUpTapsKernel,
} from '../../shaders/winograd-up.wgsl.ts';
import type { Launch, Recorder } from '../tape/op.ts';
import type { Tensor } from '../tape/tensor.ts';
import { perElement } from './shapes.ts';
import { addPoints, recordPointsGradient, recordProducts } from './winograd.ts';
import { chunksOf, launchOfChunk } from './winograd-chunks.ts';

const PHASES = 8;
const TAPS = 2;

/** [64, K + 1, N]; its last row is not read. */
interface ComposedKernel {
  readonly composed: Tensor;
  readonly tile: Tile;
  /** Of the table of all bricks. */
  readonly neighbours: Tensor;
}

interface Forward extends ComposedKernel {
  /** [bricks, edge³, K] */
  readonly x: Tensor;
  readonly bias: Tensor;
  /** [27, N], added by border class. */
  readonly constant: Tensor;
  /** [bricks, (2 · edge)³, N] */
  readonly y: Tensor;
}

/** Records y. */
export function recordWinogradUp(recorder: Recorder, f: Forward): void {
  const { composed, tile, neighbours, x, bias, constant, y } = f;
  const [inner, columns] = [x.channels, y.channels];
  const points = pointsOfTile(tile, TAPS);
  const weight = recorder.tensor('weightPoints', [PHASES * points, inner, columns]);
  recorder.dispatch(
    winogradUpTapsKernel(tile, false),
    { x: composed, points: weight },
    launchOfTaps(
      inner,
      columns,
      { place: (inner + 1) * columns, row: columns, column: 1 },
      { phase: points * inner * columns, point: inner * columns, pointRow: columns },
    ),
  );
  for (const chunk of chunksOf(recorder.target, tile, x, PHASES * points * Math.max(inner, columns))) {
    const values = recorder.tensor('points', [PHASES * points, chunk.rows, inner]);
    const around = { x, neighbours, points: values };
    recorder.dispatch(winogradUpInputKernel(tile), around, launchOfChunk(chunk, inner, PHASES));
    const products = recordProducts(recorder, values, weight, chunk, columns);
    const output = { points: products, bias, constant, neighbours, y };
    recorder.dispatch(winogradUpOutputKernel(tile), output, launchOfChunk(chunk, columns, PHASES));
  }
}

interface Backward extends ComposedKernel {
  readonly x: Tensor;
  /** [bricks, (2 · edge)³, N] */
  readonly dy: Tensor;
  /** Each is recorded where it is given: of x's shape, and [64, N, K]. */
  readonly dx?: Tensor;
  readonly dComposed?: Tensor;
}

/** Records the gradients that are asked for. */
export function recordWinogradUpGradients(recorder: Recorder, b: Backward): void {
  const { composed, tile, neighbours, x, dy, dx, dComposed } = b;
  const [inner, columns] = [x.channels, dy.channels];
  const points = pointsOfTile(tile, TAPS);
  const side = PHASES * columns;
  const ofPoints = { phase: columns * inner, point: side * inner, pointRow: inner };
  const weight = dx && recorder.tensor('weightPoints', [points, side, inner]);
  if (weight) {
    recorder.dispatch(
      winogradUpTapsKernel(tile, true),
      { x: composed, points: weight },
      launchOfTaps(columns, inner, { place: (inner + 1) * columns, row: 1, column: columns }, ofPoints),
    );
  }
  let total: Tensor | undefined;
  for (const chunk of chunksOf(recorder.target, tile, x, points * Math.max(side, inner))) {
    const values = recorder.tensor('points', [points, chunk.rows, side]);
    const around = { x: dy, neighbours, points: values };
    recorder.dispatch(winogradDownInputKernel(tile), around, launchOfChunk(chunk, columns, PHASES));
    if (dx && weight) {
      const products = recordProducts(recorder, values, weight, chunk, inner);
      recorder.dispatch(winogradOutputKernel(tile, TAPS), { points: products, y: dx }, launchOfChunk(chunk, inner));
    }
    if (dComposed) {
      const spread = recorder.tensor('xPoints', [points, chunk.rows, inner]);
      recorder.dispatch(winogradSpreadKernel(tile, TAPS), { x, points: spread }, launchOfChunk(chunk, inner));
      total = addPoints(recorder, total, recordPointsGradient(recorder, values, spread));
    }
  }
  if (!dComposed) return;
  recorder.dispatch(
    winogradUpTapsGradientKernel(tile),
    { points: total!, dx: dComposed },
    launchOfTaps(columns, inner, { place: columns * inner, row: inner, column: 1 }, ofPoints),
  );
}

/** Between a composed kernel, by the strides of its places, and the points of each phase of it. */
function launchOfTaps(
  rows: number,
  columns: number,
  kernel: Record<'place' | 'row' | 'column', number>,
  points: Record<'phase' | 'point' | 'pointRow', number>,
): Launch {
  return perElement(PHASES * rows * columns, { rows, columns, ...kernel, ...points });
}

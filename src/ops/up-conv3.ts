/**
 * A transposed convolution of kernel 2 and stride 2 followed at once by a 3³ convolution, as the one linear map that they are: a
 * transposed convolution of kernel 4, stride 2 and padding 1, [bricks, edge³, K] → [bricks, (2·edge)³, N]. Multiply-adds a fine
 * voxel fall from 27 · M · N + K · M to 8 · K · N, and the map between the two, of M channels, is never stored.
 *
 * On one axis, coarse voxel c makes the fine voxel 2c + ψ by W1[ψ], which the second convolution's tap t reads for the fine voxel
 * v = 2c + ψ − t. So the composed kernel's place w = v − 2c + 1 = ψ + s, with s = 1 − t ∈ {0, 1, 2}: it is the product of two
 * polynomials whose coefficients are matrices. Toom and Cook multiply those by their values at 0, 1, −1 and ∞: 4³ = 64 products
 * instead of 6³ = 216 in three dimensions, between transforms of the weights that only add.
 *
 * The first bias belongs to the fine voxels that exist, so near the crop's border less of it arrives. It is carried as one more
 * coarse channel that is 1 wherever a voxel is: row K of the composed kernel.
 */

import { weightGradientFinishKernel } from '../../shaders/gemm/finish.wgsl.ts';
import { type CubeMatrix, type Matrix, transposed } from '../../shaders/lib/cube.ts';
import type { Tile } from '../../shaders/lib/winograd.ts';
import { placeSumsKernel } from '../../shaders/up-conv3.wgsl.ts';
import type { BrickTable } from '../bricks/table.ts';
import { defineOp, need, needRank, needShape, type Recorder, readsAhead } from '../tape/op.ts';
import type { Shape, Tensor } from '../tape/tensor.ts';
import { type CubeLayout, transform } from './cube-transform.ts';
import { recordProduct, recordWeightGradient } from './gemm.ts';
import { edgeOn, needTiles, perElement } from './shapes.ts';
import { recordWinogradUp, recordWinogradUpGradients } from './winograd-up.ts';

export type UpConv3Inputs = {
  /** [bricks, edge³, K] */
  readonly x: Tensor;
  /** [K, 8, M] and [M]: the transposed convolution's */
  readonly upWeight: Tensor;
  readonly upBias: Tensor;
  /** [27, M, N] and [N]: the convolution's */
  readonly weight: Tensor;
  readonly bias: Tensor;
};

/** Values at 0, 1, −1, ∞ of W1[0] + W1[1]·z; of a bias that is the same at both; of W2 by s, which mirrors its taps. */
const UP = cube('up', [[1, 0], [1, 1], [1, -1], [0, 1]]); // biome-ignore format: a matrix
const UP_BIAS = cube('upBias', [[1], [2], [0], [1]]);
const TAPS = cube('taps', [[0, 0, 1], [1, 1, 1], [1, -1, 1], [1, 0, 0]]); // biome-ignore format: a matrix
/** Coefficients of the product from its values. */
const PRODUCT = cube('product', [[1, 0, 0, 0], [0, 0.5, -0.5, -1], [-1, 0.5, 0.5, 0], [0, 0, 0, 1]]); // biome-ignore format: a matrix
/** A fine voxel's own coarse voxel meets it at w = 1 or 2. */
const OWN = cube('own', [[0, 1, 1, 0]]);

/** Points of the transforms, and places of the composed kernel. */
const POINTS = 64;

/** From row K of the composed kernel what a crop full of ones would add, by border class: its first, inner and last voxels on an axis. */
const CONSTANT = cube('constant', [[0, 1, 0, 0], [0, 1, 0, 1], [0, 0, 1, 0]]); // biome-ignore format: a matrix

export interface UpConv3Attributes {
  /** Of all bricks. */
  readonly table: BrickTable;
  /** Of Winograd's algorithm, where the map is computed by it (`winograd-up.ts`); it divides a coarse brick. */
  readonly tile?: Tile;
}

export const upConv3 = defineOp({
  name: 'upConv3',

  infer({ x, upWeight, upBias, weight, bias }: UpConv3Inputs, { table, tile }: UpConv3Attributes) {
    const edge = edgeOn('upConv3', 'x', x, table);
    needTiles('upConv3', edge, tile);
    needRank('upConv3', 'upWeight', upWeight, 3, '[input channels, 8, middle channels]');
    needRank('upConv3', 'weight', weight, 3, '[27, middle channels, output channels]');
    const [middle, columns] = [upWeight.shape[2]!, weight.shape[2]!];
    needShape('upConv3', 'upWeight', upWeight, [x.channels, 8, middle]);
    needShape('upConv3', 'upBias', upBias, [middle]);
    needShape('upConv3', 'weight', weight, [27, middle, columns]);
    needShape('upConv3', 'bias', bias, [columns]);
    const { cells } = table.grid;
    // The sums for the first bias's gradient take one axis after the other, which holds when bricks fill the crop.
    need(table.perSample === cells, 'upConv3', `a table of ${table.perSample} bricks`, `the table of all ${cells}`);
    return [x.shape[0]!, (2 * edge) ** 3, columns];
  },

  forward(recorder, { x, upWeight, upBias, weight, bias }, { table, tile }, y) {
    const { inner, middle, columns } = sizes(upWeight, weight);
    const ups = recorder.tensor('ups', [POINTS, inner + 1, middle]);
    transform(recorder, UP, upWeight, ups, upLayout(middle), { tensor: upBias, point: 0 });
    const taps = recorder.tensor('taps', [POINTS, middle, columns]);
    transform(recorder, TAPS, weight, taps, { point: middle * columns, row: columns });
    const product = recorder.tensor('product', [POINTS, inner + 1, columns]);
    recordProduct(recorder, {
      addressing: 'batches64',
      a: ups,
      weight: taps,
      layout: { strideTap: middle * columns, strideInner: columns, strideColumn: 1 },
      rows: inner + 1,
      inner: middle,
      columns,
      y: product,
    });
    const composed = recorder.tensor('composed', [POINTS, inner + 1, columns]);
    transform(recorder, PRODUCT, product, composed, { point: (inner + 1) * columns, row: columns });
    const { neighbours } = table;
    if (tile) {
      const constant = recorder.tensor('constant', [27, columns]);
      const last = { base: inner * columns, point: (inner + 1) * columns, row: columns };
      transform(recorder, CONSTANT, composed, constant, last);
      recordWinogradUp(recorder, { composed, tile, neighbours, x, bias, constant, y });
      return { ups, taps, composed };
    }
    recordProduct(recorder, {
      addressing: 'corners',
      a: x,
      weight: composed,
      layout: { strideTap: (inner + 1) * columns, strideInner: columns, strideColumn: 1 },
      constant: true,
      bias,
      neighbours,
      rows: x.rows,
      inner,
      columns,
      edge: edgeOn('upConv3', 'x', x, table),
      y,
    });
    return { ups, taps, composed };
  },

  backward(recorder, { inputs, attributes: { table, tile }, saved: { ups, taps, composed }, dy, needs }) {
    const { x, upWeight, upBias, weight, bias } = inputs;
    const { inner, middle, columns } = sizes(upWeight, weight);
    const ofWeights = needs('upWeight') || needs('upBias') || needs('weight') || needs('bias');
    const dx = needs('x') ? recorder.like('dx', x) : undefined;
    const dComposed = ofWeights ? recorder.tensor('dComposed', [POINTS, columns, inner]) : undefined;
    if (tile) {
      const { neighbours } = table;
      recordWinogradUpGradients(recorder, { composed, tile, neighbours, x, dy, dx, dComposed });
    } else recordGradients(recorder, table, { composed, x, dy, dx, dComposed });
    if (!dComposed) return { x: dx };
    const dConstant = recordPlaceSums(recorder, dy, table);

    // Back through the composition: each step of the forward transposed.
    const dProduct = recorder.tensor('dProduct', [POINTS, inner + 1, columns]);
    const lastRow = { tensor: dConstant, point: columns };
    const turned = { point: columns * inner, row: 1, column: inner };
    transform(recorder, transposed(PRODUCT), dComposed, dProduct, turned, lastRow);
    const dUps = recorder.tensor('dUps', ups.shape);
    recordProduct(recorder, {
      addressing: 'batches64',
      a: dProduct,
      weight: taps,
      layout: { strideTap: middle * columns, strideInner: 1, strideColumn: columns },
      rows: inner + 1,
      inner: columns,
      columns: middle,
      y: dUps,
    });
    const dTaps = recorder.tensor('dTaps', taps.shape);
    recordWeightGradient(recorder, {
      addressing: 'batches64',
      a: ups,
      d: dProduct,
      rows: inner + 1,
      inner: middle,
      columns,
      dWeight: dTaps,
      layout: { strideTap: middle * columns, strideInner: columns, strideColumn: 1 },
    });
    const matrices = { point: (inner + 1) * middle, row: middle };
    const dUpWeight = recorder.tensor('dUpWeight', upWeight.shape);
    transform(recorder, transposed(UP), dUps, dUpWeight, matrices, undefined, upLayout(middle));
    const dUpBias = recorder.tensor('dUpBias', upBias.shape);
    transform(recorder, transposed(UP_BIAS), dUps, dUpBias, { ...matrices, base: inner * middle });
    const dWeight = recorder.tensor('dWeight', weight.shape);
    transform(recorder, transposed(TAPS), dTaps, dWeight, { point: middle * columns, row: columns });
    const dBias = needs('bias') ? recorder.tensor('dBias', bias.shape) : undefined;
    if (dBias) transform(recorder, OWN, dConstant, dBias, { point: columns, row: columns });
    return { x: dx, upWeight: dUpWeight, upBias: dUpBias, weight: dWeight, bias: dBias };
  },
});

interface Gradients {
  readonly composed: Tensor;
  readonly x: Tensor;
  readonly dy: Tensor;
  readonly dx?: Tensor;
  /** [64, N, K] */
  readonly dComposed?: Tensor;
}

/** Records those that are asked for. Both gather dy around each coarse voxel. */
function recordGradients(recorder: Recorder, table: BrickTable, { composed, x, dy, dx, dComposed }: Gradients): void {
  const [inner, columns] = [x.channels, dy.channels];
  const around = {
    addressing: 'windows',
    a: dy,
    neighbours: table.neighbours,
    rows: x.rows,
    inner: columns,
    columns: inner,
    edge: edgeOn('upConv3', 'x', x, table),
  } as const;
  if (dx) {
    // The composed kernel's rows are inner + 1 channels.
    const layout = { strideTap: (inner + 1) * columns, strideInner: 1, strideColumn: columns };
    recordProduct(recorder, { ...around, weight: composed, layout, y: dx });
  }
  if (dComposed) {
    const layout = { strideTap: columns * inner, strideInner: inner, strideColumn: 1 };
    recordWeightGradient(recorder, { ...around, d: x, dWeight: dComposed, layout });
  }
}

/**
 * Least ratio of multiply-adds, plain to composed. Measured on lavapipe and SwiftShader (`npm run bench -- savings`), forward and backward:
 * at 3.6 composing is 3.4 to 3.9 times as fast, at 3.0 1.5 to 2.2 times, at 2.5 1.1 to 1.6 times, at 0.8 0.4 to 0.8 times.
 */
const LEAST_RATIO = 2.2;

/**
 * Whether one map is less work than two, for `rows` coarse voxels: composing costs 64 products of the weights, whatever the map's
 * size, and the same again for both gradients.
 */
export function composingPays({
  inner,
  middle,
  columns,
  rows,
}: Record<'inner' | 'middle' | 'columns' | 'rows', number>) {
  const plain = 8 * rows * (27 * middle * columns + inner * middle);
  const composed = 8 * rows * 8 * inner * columns + POINTS * inner * middle * columns;
  return plain >= LEAST_RATIO * composed;
}

/** [K, 8, M] as 8 matrices of K rows. */
function upLayout(middle: number): CubeLayout {
  return { point: middle, row: 8 * middle };
}

/** Records [64, N]: for each place of the composed kernel the sum of dy over the voxels that meet a coarse voxel there. */
function recordPlaceSums(recorder: Recorder, dy: Tensor, table: BrickTable): Tensor {
  const [bricks, voxels, channels] = dy.shape as [number, number, number];
  const edge = Math.round(Math.cbrt(voxels));
  let x = dy;
  // z, y, x: each replaces an axis of `edge` voxels by 4 places.
  [1, 3, 9].forEach((step, done) => {
    const linesOfBrick = edge ** (2 - done);
    const inner = channels * 4 ** done;
    const shape: Shape = [bricks, linesOfBrick * 4 ** (done + 1), channels];
    const y = recorder.tensor(`placeSums${step}`, shape);
    const launch = perElement(bricks * linesOfBrick * inner, { edge, inner, linesOfBrick, step });
    recorder.dispatch(placeSumsKernel(), { x, neighbours: table.neighbours, y }, launch);
    x = y;
  });
  // Added up over the bricks as a weight gradient is over its splits.
  const sums = recorder.tensor('placeSums', [POINTS, channels]);
  const layout = { base: 0, strideTap: channels, strideInner: channels, strideColumn: 1 };
  const launch = perElement(sums.size, { splits: bricks, inner: 1, columns: channels, ...layout });
  recorder.dispatch(
    weightGradientFinishKernel(false, readsAhead(recorder.target)),
    { partials: x, dWeight: sums },
    launch,
  );
  return sums;
}

function sizes(upWeight: Tensor, weight: Tensor) {
  return { inner: upWeight.shape[0]!, middle: weight.shape[1]!, columns: weight.shape[2]! };
}

/** The same matrix on each axis. */
function cube(name: string, matrix: Matrix): CubeMatrix {
  return { name, axes: [matrix, matrix, matrix] };
}

/**
 * Densify followed by a 3³ convolution, without the dense map: y = conv3(densify(x, token), weight, bias). Both are linear, so it is the
 * product of x − token over the visible bricks alone, plus what a crop full of tokens gives: a constant for each of the 27 border classes,
 * bias + Σ over the taps inside the crop of token · weight. Only visible bricks and their shell do work, in the backward pass only
 * visible bricks; equal to the two ops up to rounding.
 */

import {
  borderConstantsKernel,
  borderPartialsKernel,
  crossTableKernel,
  shiftKernel,
  tapSumsKernel,
  tokenGradientKernel,
  tokenTapsGradientKernel,
  tokenTapsKernel,
} from '../../shaders/densify-conv3.wgsl.ts';
import { fillKernel } from '../../shaders/elementwise.wgsl.ts';
import { weightGradientFinishKernel } from '../../shaders/gemm/finish.wgsl.ts';
import type { Tile } from '../../shaders/lib/winograd.ts';
import type { BrickTable } from '../bricks/table.ts';
import { defineOp, need, needRank, needShape, type Recorder, readsAhead } from '../tape/op.ts';
import type { Tensor } from '../tape/tensor.ts';
import { PLAIN_SUM, recordColumnFinish, recordColumnSums } from './column-sums.ts';
import { recordProduct, recordWeightGradient } from './gemm.ts';
import { edgeOn, needTiles, perElement } from './shapes.ts';
import { recordWinograd, recordWinogradGradients } from './winograd.ts';

export type DensifyConv3Inputs = {
  /** [visible bricks, edge³, K], edge at least 2: a voxel is not both first and last of its crop */
  readonly x: Tensor;
  /** [K] */
  readonly token: Tensor;
  /** [27, K, N], taps as for `conv3` */
  readonly weight: Tensor;
  /** [N] */
  readonly bias: Tensor;
};

export interface DensifyConv3Tables {
  readonly visible: BrickTable;
  /** Of all bricks of the same grid and batch. */
  readonly all: BrickTable;
}

export interface DensifyConv3Attributes extends DensifyConv3Tables {
  /** Of Winograd's algorithm, where the products are computed by it: over all bricks forward, the visible ones backward. */
  readonly tile?: Tile;
}

const NAME = 'densifyConv3';

export const densifyConv3 = defineOp({
  name: NAME,

  infer({ x, token, weight, bias }: DensifyConv3Inputs, { visible, all, tile }: DensifyConv3Attributes) {
    const edge = edgeOn(NAME, 'x', x, visible);
    need(edge >= 2, `${NAME}: argument "x"`, 'bricks of one voxel', 'bricks of edge 2, 4, 8 …');
    needTiles(NAME, edge, tile);
    const isAll = all.perSample === all.grid.cells && all.grid.equals(visible.grid) && all.batch === visible.batch;
    need(
      isAll,
      `${NAME}: table "all"`,
      `${all.bricks} bricks`,
      `${visible.batch * visible.grid.cells}, the whole grid`,
    );
    needShape(NAME, 'token', token, [x.channels]);
    needRank(NAME, 'weight', weight, 3, '[27, input channels, output channels]');
    const columns = weight.shape[2]!;
    needShape(NAME, 'weight', weight, [27, x.channels, columns]);
    needShape(NAME, 'bias', bias, [columns]);
    return [all.bricks, x.shape[1]!, columns];
  },

  forward(recorder, { x, token, weight, bias }, { visible, all, tile }, y) {
    const [, inner, columns] = weight.shape as [number, number, number];
    const { slots, cells } = visible;
    const inward = recorder.tensor('inward', [all.bricks, 27], 'u32');
    const outward = recorder.tensor('outward', [visible.bricks, 27], 'u32');
    const tables = { crop: all.neighbours, slots, cells, inward, outward };
    recorder.dispatch(crossTableKernel(), tables, perElement(inward.size, { visible: visible.bricks }));
    const shifted = recorder.like('shifted', x);
    recorder.dispatch(shiftKernel(), { x, token, y: shifted }, perElement(x.size, { channels: inner }));
    const taps = recorder.tensor('tokenTaps', [27, columns]);
    recorder.dispatch(tokenTapsKernel(), { token, weight, y: taps }, perElement(taps.size, { inner, columns }));
    const constants = recorder.tensor('constants', [27, columns]);
    recorder.dispatch(borderConstantsKernel(), { taps, bias, y: constants }, perElement(constants.size, { columns }));
    if (tile) {
      const borders = { bias: constants, crop: all.neighbours };
      recordWinograd(recorder, { tile, x: shifted, neighbours: inward, weight, ...borders, y });
      return { shifted, outward };
    }
    recordProduct(recorder, {
      addressing: 'neighbours',
      a: shifted,
      weight,
      layout: { strideTap: inner * columns, strideInner: columns, strideColumn: 1 },
      bias: constants,
      crop: all.neighbours,
      neighbours: inward,
      present: visible.bricks / all.bricks,
      rows: y.rows,
      inner,
      columns,
      edge: edgeOn(NAME, 'x', x, visible),
      y,
    });
    return { shifted, outward };
  },

  backward(recorder, { inputs: { x, token, weight }, attributes: { visible, all, tile }, saved, dy, needs }) {
    const { shifted, outward } = saved;
    const [, inner, columns] = weight.shape as [number, number, number];
    const edge = edgeOn(NAME, 'x', x, visible);
    // Every gradient is gathered by visible rows from their neighbours among all rows of dy: tap t meets weight 26 − t.
    const mirrored = { base: 26 * inner * columns, strideTap: -inner * columns, strideInner: 1, strideColumn: columns };
    const gather = { addressing: 'neighbours', a: dy, neighbours: outward, rows: x.rows, edge } as const;
    const size = { inner: columns, columns: inner };
    const hidesSome = visible.bricks < all.bricks;
    const [dTokenNeeded, dWeightNeeded] = [needs('token'), needs('weight')];
    const dx = needs('x') || (dTokenNeeded && hidesSome) ? recorder.like('dx', x) : undefined;
    const dWeight = dWeightNeeded ? recorder.tensor('dWeight', weight.shape) : undefined;
    const needsSums = dTokenNeeded || dWeightNeeded || needs('bias');
    const sums = needsSums ? recordTapSums(recorder, dy, all, columns, edge) : undefined;
    const outer = sums && { perTap: sums.tapSums, perColumn: token };
    if (tile) {
      // The weight's gradient as it is gathered, then turned round, and the tokens' part added.
      const turned = dWeight && recorder.tensor('dWeight', [27, columns, inner]);
      const around = { tile, x: shifted, dy, neighbours: outward, weight };
      if (dx || turned) recordWinogradGradients(recorder, { ...around, dx, dWeight: turned, turned: true });
      if (turned) {
        const launch = perElement(turned.size, { splits: 1, ...size, ...mirrored });
        const finish = weightGradientFinishKernel(true, readsAhead(recorder.target));
        recorder.dispatch(finish, { partials: turned, ...outer, dWeight }, launch);
      }
    } else {
      if (dx) recordProduct(recorder, { ...gather, ...size, weight, layout: mirrored, y: dx });
      if (dWeight) {
        recordWeightGradient(recorder, { ...gather, ...size, d: shifted, dWeight, layout: mirrored, outer });
      }
    }
    let dToken: Tensor | undefined;
    if (dTokenNeeded) {
      dToken = recorder.tensor('dToken', token.shape);
      if (hidesSome) {
        const [seen] = recordColumnSums(recorder, PLAIN_SUM, { x: dx }, { rows: x.rows, channels: inner });
        const taps = recorder.tensor('dTokenTaps', [27, inner]);
        const launch = perElement(taps.size, { inner, columns });
        recorder.dispatch(tokenTapsGradientKernel(), { weight, tapSums: sums!.tapSums, y: taps }, launch);
        recorder.dispatch(tokenGradientKernel(), { taps, visible: seen, dToken }, perElement(inner));
      } else {
        recorder.dispatch(fillKernel(), { y: dToken }, perElement(inner, { value: 0 })); // not the rounding of a difference
      }
    }
    return { x: dx, token: dToken, weight: dWeight, bias: sums?.dBias };
  },
});

/** Sums of dy over the rows whose tap is inside the crop, [27, N] mirrored, and over all rows. */
function recordTapSums(recorder: Recorder, dy: Tensor, all: BrickTable, columns: number, edge: number) {
  const { rows } = dy;
  // A chunk writes 27 sums, so it should read several times as many rows; then they are added one after another.
  const chunks = Math.min(Math.ceil(rows / 128), 256);
  const partials = recorder.tensor('borderPartials', [chunks, 27, columns]);
  const launch = perElement(chunks * columns, { rows, columns, chunks, edgeLog2: Math.log2(edge) });
  recorder.dispatch(borderPartialsKernel(), { dy, crop: all.neighbours, partials }, launch);
  const [classes] = recordColumnFinish(recorder, partials, 1, chunks, 27 * columns, [27, columns]);
  const tapSums = recorder.tensor('tapSums', [27, columns]);
  const dBias = recorder.tensor('dBias', [columns]);
  recorder.dispatch(tapSumsKernel(), { classes, y: tapSums, dBias }, perElement(tapSums.size, { columns }));
  return { tapSums, dBias };
}

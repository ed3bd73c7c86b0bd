/** The 3³ convolution of `conv3` by Winograd's algorithm: see `winograd.ts`. */

import type { Tile } from '../../shaders/lib/winograd.ts';
import type { BrickTable } from '../bricks/table.ts';
import { defineOp, needRank, needShape } from '../tape/op.ts';
import { PLAIN_SUM, recordColumnSums } from './column-sums.ts';
import type { Conv3Inputs } from './conv3.ts';
import { edgeOn, needTiles } from './shapes.ts';
import { recordWinograd, recordWinogradGradients } from './winograd.ts';

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
    needTiles(NAME, edge, tile);
    needRank(NAME, 'weight', weight, 3, '[27, input channels, output channels]');
    const columns = weight.shape[2]!;
    needShape(NAME, 'weight', weight, [27, x.channels, columns]);
    if (bias) needShape(NAME, 'bias', bias, [columns]);
    return [x.shape[0]!, x.shape[1]!, columns];
  },

  forward(recorder, { x, weight, bias }, { table: { neighbours }, tile }, y) {
    recordWinograd(recorder, { tile, neighbours, x, weight, bias, y });
  },

  backward(recorder, { inputs: { x, weight }, attributes: { table, tile }, dy, needs, gradientSoFar }) {
    const dx = needs('x') ? recorder.like('dx', x) : undefined;
    const dWeight = needs('weight') ? recorder.tensor('dWeight', weight.shape) : undefined;
    const { neighbours } = table;
    const residual = dx && gradientSoFar('x');
    if (dx || dWeight) recordWinogradGradients(recorder, { tile, neighbours, x, dy, weight, dx, residual, dWeight });
    const dBias = needs('bias')
      ? recordColumnSums(recorder, PLAIN_SUM, { x: dy }, { rows: x.rows, channels: dy.channels })[0]
      : undefined;
    return { x: dx, weight: dWeight, bias: dBias };
  },
});

/** Adds a fixed position table to visible tokens: y[slot] = x[slot] + positions[cell of slot]. */

import { positionAddKernel } from '../../shaders/bricks.wgsl.ts';
import type { BrickTable } from '../bricks/table.ts';
import { defineOp, needShape } from '../tape/op.ts';
import type { Tensor } from '../tape/tensor.ts';
import { perElement } from './shapes.ts';

export type PositionAddInputs = {
  /** [bricks, 1, C]: one token a brick */
  readonly x: Tensor;
  /** [cells of a sample, C], constant */
  readonly positions: Tensor;
};

export const positionAdd = defineOp({
  name: 'positionAdd',

  infer({ x, positions }: PositionAddInputs, table: BrickTable) {
    needShape('positionAdd', 'x', x, [table.bricks, 1, x.channels]);
    needShape('positionAdd', 'positions', positions, [table.grid.cells, x.channels]);
    return x.shape;
  },

  forward(recorder, { x, positions }, { cells, grid }, y) {
    const uniforms = { channels: x.channels, perGrid: grid.cells };
    recorder.dispatch(positionAddKernel(), { x, positions, cells, y }, perElement(x.size, uniforms));
  },

  backward: (_recorder, { dy }) => ({ x: dy }),
});

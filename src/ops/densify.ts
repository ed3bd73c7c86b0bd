/**
 * Densify: the visible bricks in their places, a learned token in every hidden voxel: [visible bricks, edge³, C] → [all bricks, edge³, C].
 * At edge 1 this puts the transformer's tokens back among mask tokens.
 */

import { densifyKernel, HIDDEN_SUM, visibleKernel } from '../../shaders/bricks.wgsl.ts';
import type { BrickTable } from '../bricks/table.ts';
import { defineOp, needShape } from '../tape/op.ts';
import type { Tensor } from '../tape/tensor.ts';
import { recordColumnSums } from './column-sums.ts';
import { edgeOn, perElement } from './shapes.ts';

export type DensifyInputs = {
  /** [visible bricks, edge³, C] */
  readonly x: Tensor;
  /** [C] */
  readonly token: Tensor;
};

export const densify = defineOp({
  name: 'densify',

  infer({ x, token }: DensifyInputs, table: BrickTable) {
    edgeOn('densify', 'x', x, table);
    needShape('densify', 'token', token, [x.channels]);
    return [table.batch * table.grid.cells, x.shape[1]!, x.channels];
  },

  forward(recorder, { x, token }, { slots }, y) {
    const plane = x.shape[1]! * x.channels;
    recorder.dispatch(densifyKernel(), { x, token, slots, y }, perElement(y.size, { plane, channels: x.channels }));
  },

  backward(recorder, { inputs: { x }, attributes: { cells, slots }, dy, needs }) {
    const voxels = x.shape[1]!;
    const { channels } = x;
    let dx: Tensor | undefined;
    if (needs('x')) {
      dx = recorder.like('dx', x);
      recorder.dispatch(visibleKernel(), { x: dy, cells, y: dx }, perElement(x.size, { plane: voxels * channels }));
    }
    const token = needs('token')
      ? recordColumnSums(recorder, HIDDEN_SUM, { dy, slots }, { rows: dy.rows, channels }, { voxels })[0]
      : undefined;
    return { x: dx, token };
  },
});

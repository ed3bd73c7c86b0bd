/** From volumes to bricks: [batch, X, Y, Z] (z fastest) → [bricks, edge³, 1], the bricks that a table lists. */

import { gatherBricksKernel } from '../../shaders/bricks.wgsl.ts';
import type { BrickTable } from '../bricks/table.ts';
import { defineOp, needDType, needShape, notDifferentiable } from '../tape/op.ts';
import type { Tensor } from '../tape/tensor.ts';
import { perElement } from './shapes.ts';

export type GatherBricksInputs = { readonly volume: Tensor };

export interface GatherBricksAttributes {
  readonly table: BrickTable;
  /** Voxels on a brick's side in this volume. */
  readonly edge: number;
}

export const gatherBricks = defineOp({
  name: 'gatherBricks',
  full: true, // flat patches are normalised by deviations near f16's rounding

  infer({ volume }: GatherBricksInputs, { table, edge }: GatherBricksAttributes) {
    needDType('gatherBricks', 'volume', volume, 'f32');
    needShape('gatherBricks', 'volume', volume, [table.batch, ...table.grid.voxels(edge)]);
    return [table.bricks, edge ** 3, 1];
  },

  forward(recorder, { volume }, { table, edge }, y) {
    const { x: gridX, y: gridY, z: gridZ } = table.grid;
    const uniforms = { edgeLog2: Math.log2(edge), gridX, gridY, gridZ };
    recorder.dispatch(gatherBricksKernel(), { volume, cells: table.cells, y }, perElement(y.size, uniforms));
  },

  backward: notDifferentiable('its input is the scan, which is not trained'),
});

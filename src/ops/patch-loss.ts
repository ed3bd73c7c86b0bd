/**
 * The pre-training loss: each patch of the image normalised by its own mean and unbiased deviation, mean squared error of the
 * prediction a patch, summed over hidden patches / (their number + 1e-8). Source: golden/README.md, "What is computed", 7.
 */

import { WORKGROUP } from '../../shaders/lib/kernel.ts';
import { patchErrorGradientKernel, patchErrorKernel } from '../../shaders/patch-loss.wgsl.ts';
import type { BrickTable } from '../bricks/table.ts';
import { defineOp, foldWorkgroups, need, needShape, type Recorder } from '../tape/op.ts';
import type { Tensor } from '../tape/tensor.ts';
import { edgeOf, perElement } from './shapes.ts';
import { recordTotal } from './sum.ts';

export type PatchLossInputs = {
  /** [all bricks, voxels, 1] */
  readonly prediction: Tensor;
  /** [all bricks, voxels, 1]: the unmasked image, in 0..1 */
  readonly image: Tensor;
};

export interface PatchLossAttributes {
  /** The visible bricks; the loss is over the others. */
  readonly visible: BrickTable;
}

/** Mean and 1 / deviation of each patch of the image, [all bricks, 2], and the error of each hidden patch, [all bricks]. */
export function recordPatchErrors(
  recorder: Recorder,
  { prediction, image }: PatchLossInputs,
  { visible }: PatchLossAttributes,
): { statistics: Tensor; errors: Tensor } {
  const [patches, voxels] = image.shape as [number, number, number];
  const statistics = recorder.tensor('statistics', [patches, 2]);
  const errors = recorder.tensor('errors', [patches]);
  recorder.dispatch(
    patchErrorKernel(),
    { prediction, image, slots: visible.slots, statistics, errors },
    { uniforms: { count: patches, voxels }, workgroups: foldWorkgroups(patches * WORKGROUP, WORKGROUP) },
  );
  return { statistics, errors };
}

export const patchLoss = defineOp({
  name: 'patchLoss',
  full: true,

  infer({ prediction, image }: PatchLossInputs, { visible }: PatchLossAttributes) {
    const edge = edgeOf('patchLoss', 'image', image);
    const all = visible.batch * visible.grid.cells;
    needShape('patchLoss', 'image', image, [all, edge ** 3, 1]);
    needShape('patchLoss', 'prediction', prediction, image.shape);
    need(edge >= 2, 'patchLoss: argument "image"', 'patches of one voxel', 'patches that have a deviation');
    need(visible.bricks < all, 'patchLoss: visible bricks', 'all of them', 'at least one hidden');
    return [1];
  },

  forward(recorder, inputs, attributes, loss) {
    const { statistics, errors } = recordPatchErrors(recorder, inputs, attributes);
    recordTotal(recorder, errors, loss, 1 / (hiddenOf(attributes) + 1e-8));
    return { statistics };
  },

  backward(recorder, { inputs: { prediction, image }, attributes, saved: { statistics }, dy, needs }) {
    if (!needs('prediction')) return {};
    const voxels = image.shape[1]!;
    const dPrediction = recorder.like('dPrediction', prediction);
    const launch = perElement(prediction.size, { voxels, factor: 2 / (voxels * (hiddenOf(attributes) + 1e-8)) });
    const { slots } = attributes.visible;
    recorder.dispatch(patchErrorGradientKernel(), { prediction, image, slots, statistics, dy, dPrediction }, launch);
    return { prediction: dPrediction };
  },
});

function hiddenOf({ visible }: PatchLossAttributes): number {
  return visible.batch * visible.grid.cells - visible.bricks;
}

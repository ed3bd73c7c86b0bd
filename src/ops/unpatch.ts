/**
 * What a person looks at: the image where it is visible, elsewhere the prediction taken back from normalised patches to the image's own
 * mean and deviation. Source: golden/README.md, "What is computed", 8.
 */

import { unpatchKernel } from '../../shaders/patch-loss.wgsl.ts';
import { defineOp, needShape, notDifferentiable } from '../tape/op.ts';
import { type PatchLossAttributes, type PatchLossInputs, recordPatchErrors } from './patch-loss.ts';
import { edgeOf, perElement } from './shapes.ts';

/** [all bricks, voxels, 1], in the image's units. */
export const unpatch = defineOp({
  name: 'unpatch',
  full: true,

  infer({ prediction, image }: PatchLossInputs, { visible }: PatchLossAttributes) {
    const edge = edgeOf('unpatch', 'image', image);
    needShape('unpatch', 'image', image, [visible.batch * visible.grid.cells, edge ** 3, 1]);
    needShape('unpatch', 'prediction', prediction, image.shape);
    return image.shape;
  },

  forward(recorder, inputs, attributes, y) {
    const { statistics } = recordPatchErrors(recorder, inputs, attributes);
    const { slots } = attributes.visible;
    const launch = perElement(y.size, { voxels: inputs.image.shape[1]! });
    recorder.dispatch(unpatchKernel(), { ...inputs, slots, statistics, y }, launch);
  },

  backward: notDifferentiable('it is for looking at'),
});

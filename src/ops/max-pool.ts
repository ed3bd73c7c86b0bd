/** 2³ max pooling inside bricks: [bricks, edge³, C] → [bricks, (edge/2)³, C]. Ties give the gradient to the first, as in PyTorch. */

import { maxPoolGradientKernel, maxPoolKernel } from '../../shaders/pool.wgsl.ts';
import { defineOp, need } from '../tape/op.ts';
import type { Tensor } from '../tape/tensor.ts';
import { edgeOf, perElement } from './shapes.ts';

export type MaxPoolInputs = { readonly x: Tensor };

export const maxPool = defineOp({
  name: 'maxPool',

  infer({ x }: MaxPoolInputs, _: undefined) {
    const edge = edgeOf('maxPool', 'x', x);
    need(edge >= 2, 'maxPool: argument "x"', `bricks of ${edge} voxel a side`, 'at least 2');
    return [x.shape[0]!, (edge / 2) ** 3, x.channels];
  },

  forward(recorder, { x }, _, y) {
    const edgeLog2 = Math.log2(edgeOf('maxPool', 'x', x)) - 1;
    recorder.dispatch(maxPoolKernel(), { x, y }, perElement(y.size, { channels: x.channels, edgeLog2 }));
  },

  backward(recorder, { inputs: { x }, output: y, dy, gradientSoFar }) {
    const edgeLog2 = Math.log2(edgeOf('maxPool', 'x', x)) - 1;
    const dx = recorder.like('dx', x);
    const residual = gradientSoFar('x');
    recorder.dispatch(
      maxPoolGradientKernel(residual !== undefined),
      { x, y, dy, residual, dx },
      perElement(y.size, { channels: x.channels, edgeLog2 }),
    );
    return { x: dx };
  },
});

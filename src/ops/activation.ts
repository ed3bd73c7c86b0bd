/** GELU (exact, by the error function), ReLU and leaky ReLU (slope 0.01 below zero). */

import { type Activation, activationGradientKernel, activationKernel } from '../../shaders/activation.wgsl.ts';
import { defineOp, needDType } from '../tape/op.ts';
import type { Tensor } from '../tape/tensor.ts';
import { perElement } from './shapes.ts';

export type ActivationInputs = { readonly x: Tensor };

export const activation = defineOp({
  name: 'activation',

  infer({ x }: ActivationInputs, _: Activation) {
    needDType('activation', 'x', x, 'f32');
    return x.shape;
  },

  forward(recorder, { x }, kind, y) {
    recorder.dispatch(activationKernel(kind), { x, y }, perElement(x.size));
  },

  backward(recorder, { inputs: { x }, attributes: kind, dy }) {
    const dx = recorder.like('dx', x);
    recorder.dispatch(activationGradientKernel(kind), { x, dy, dx }, perElement(x.size));
    return { x: dx };
  },
});

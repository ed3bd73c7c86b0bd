/** y = factor · x */

import { scaleKernel } from '../../shaders/elementwise.wgsl.ts';
import { defineOp, need, needDType } from '../tape/op.ts';
import type { Tensor } from '../tape/tensor.ts';
import { perElement } from './shapes.ts';

export type ScaleInputs = { readonly x: Tensor };

export interface ScaleAttributes {
  readonly factor: number;
}

export const scale = defineOp({
  name: 'scale',

  infer({ x }: ScaleInputs, { factor }: ScaleAttributes) {
    needDType('scale', 'x', x, 'f32');
    need(Number.isFinite(factor), 'scale: factor', String(factor), 'a finite number');
    return x.shape;
  },

  forward(recorder, { x }, { factor }, y) {
    recorder.dispatch(scaleKernel(), { x, y }, perElement(x.size, { factor }));
  },

  backward(recorder, { inputs: { x }, attributes: { factor }, dy }) {
    const dx = recorder.like('dx', x);
    recorder.dispatch(scaleKernel(), { x: dy, y: dx }, perElement(x.size, { factor }));
    return { x: dx };
  },
});

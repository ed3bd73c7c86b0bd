/** y = a + b, equal shapes. */

import { addKernel } from '../../shaders/elementwise.wgsl.ts';
import { defineOp, needDType, needShape } from '../tape/op.ts';
import type { Tensor } from '../tape/tensor.ts';
import { perElement } from './shapes.ts';

export type AddInputs = { readonly a: Tensor; readonly b: Tensor };

export const add = defineOp({
  name: 'add',

  infer({ a, b }: AddInputs, _: undefined) {
    needDType('add', 'a', a, 'f32');
    needDType('add', 'b', b, 'f32');
    needShape('add', 'b', b, a.shape);
    return a.shape;
  },

  forward(recorder, { a, b }, _, y) {
    recorder.dispatch(addKernel(), { a, b, y }, perElement(y.size));
  },

  backward: (_recorder, { dy }) => ({ a: dy, b: dy }),
});

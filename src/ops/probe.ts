/** Gives a tensor a gradient to go back with: [1] whose value is 0 and whose backward rule hands `dy` on. For tests, benchmarks and trials. */

import { fillKernel } from '../../shaders/elementwise.wgsl.ts';
import { defineOp } from '../tape/op.ts';
import type { Tensor } from '../tape/tensor.ts';

/** The attribute is dy, of y's shape. */
export const probe = defineOp({
  name: 'probe',
  infer: (_: { readonly y: Tensor }, __: Tensor) => [1],
  forward(recorder, _, __, y) {
    recorder.dispatch(fillKernel(), { y }, { uniforms: { count: 1, value: 0 } });
  },
  backward: (_recorder, { attributes: dy }) => ({ y: dy }),
});

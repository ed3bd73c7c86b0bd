/** Channels of two feature maps side by side: [..., A] and [..., B] → [..., A + B]. */

import { channelSliceKernel, concatKernel } from '../../shaders/concat.wgsl.ts';
import { defineOp, needDType, needShape } from '../tape/op.ts';
import type { Tensor } from '../tape/tensor.ts';
import { perChannel } from './shapes.ts';

export type ConcatInputs = { readonly a: Tensor; readonly b: Tensor };

export const concat = defineOp({
  name: 'concat',

  infer({ a, b }: ConcatInputs, _: undefined) {
    needDType('concat', 'a', a, 'f32');
    needDType('concat', 'b', b, 'f32');
    needShape('concat', 'b', b, [...a.shape.slice(0, -1), b.channels]);
    return [...a.shape.slice(0, -1), a.channels + b.channels];
  },

  forward(recorder, { a, b }, _, y) {
    recorder.dispatch(
      concatKernel(),
      { a, b, y },
      perChannel(recorder.target, y.rows, y.channels, { channelsA: a.channels }),
    );
  },

  backward(recorder, { inputs: { a, b }, dy, needs }) {
    const slice = (name: string, of: Tensor, first: number) => {
      const y = recorder.like(name, of);
      const launch = perChannel(recorder.target, y.rows, y.channels, { wide: dy.channels, first });
      recorder.dispatch(channelSliceKernel(), { x: dy, y }, launch);
      return y;
    };
    return {
      a: needs('a') ? slice('da', a, 0) : undefined,
      b: needs('b') ? slice('db', b, a.channels) : undefined,
    };
  },
});

/**
 * Two linear layers with an exact-erf GELU between them: y = gelu(x W1 + b1) W2 + b2 + residual, on the last axis. One op, because backward
 * the slope of the GELU is then taken in the product that makes its gradient, and that gradient is stored once.
 */

import { defineOp, needDType, needRank, needShape } from '../tape/op.ts';
import type { Tensor } from '../tape/tensor.ts';
import { recordProduct, recordWeightGradient } from './gemm.ts';

export type FeedForwardInputs = {
  /** [..., K] */
  readonly x: Tensor;
  /** [K, H] and [H] */
  readonly weight1: Tensor;
  readonly bias1: Tensor;
  /** [H, N] and [N] */
  readonly weight2: Tensor;
  readonly bias2: Tensor;
  /** [..., N], added last. */
  readonly residual: Tensor;
};

/** A weight [inner, columns] as it lies, and transposed. */
const plain = (columns: number) => ({ strideTap: 0, strideInner: columns, strideColumn: 1 });
const transposed = (columns: number) => ({ strideTap: 0, strideInner: 1, strideColumn: columns });

export const feedForward = defineOp({
  name: 'feedForward',

  infer({ x, weight1, bias1, weight2, bias2, residual }: FeedForwardInputs, _: undefined) {
    needDType('feedForward', 'x', x, 'f32');
    needRank('feedForward', 'weight1', weight1, 2, '[input channels, hidden channels]');
    needRank('feedForward', 'weight2', weight2, 2, '[hidden channels, output channels]');
    const [hidden, columns] = [weight1.shape[1]!, weight2.shape[1]!];
    needShape('feedForward', 'weight1', weight1, [x.channels, hidden]);
    needShape('feedForward', 'bias1', bias1, [hidden]);
    needShape('feedForward', 'weight2', weight2, [hidden, columns]);
    needShape('feedForward', 'bias2', bias2, [columns]);
    const shape = [...x.shape.slice(0, -1), columns];
    needShape('feedForward', 'residual', residual, shape);
    return shape;
  },

  forward(recorder, { x, weight1, bias1, weight2, bias2, residual }, _, y) {
    const { rows, channels: inner } = x;
    const [hiddenChannels, columns] = [bias1.size, bias2.size];
    const wide = [...x.shape.slice(0, -1), hiddenChannels];
    const [pre, hidden] = [recorder.like('pre', y, wide), recorder.like('hidden', y, wide)];
    recordProduct(recorder, {
      addressing: 'rows',
      a: x,
      weight: weight1,
      layout: plain(hiddenChannels),
      bias: bias1,
      rows,
      inner,
      columns: hiddenChannels,
      y: hidden,
      pre,
    });
    recordProduct(recorder, {
      addressing: 'rows',
      a: hidden,
      weight: weight2,
      layout: plain(columns),
      bias: bias2,
      residual,
      rows,
      inner: hiddenChannels,
      columns,
      y,
    });
    return { pre, hidden };
  },

  backward(recorder, { inputs, saved: { pre, hidden }, dy, needs, gradientSoFar }) {
    const { x, weight1, bias1, weight2, bias2 } = inputs;
    const { rows, channels: inner } = x;
    const [hiddenChannels, columns] = [bias1.size, bias2.size];
    const dPre = recorder.like('dPre', pre);
    recordProduct(recorder, {
      addressing: 'rows',
      a: dy,
      weight: weight2,
      layout: transposed(columns),
      rows,
      inner: columns,
      columns: hiddenChannels,
      y: dPre,
      slopeAt: pre,
    });
    const weightGradient = (layer: 1 | 2, a: Tensor, d: Tensor) => {
      const weight = inputs[`weight${layer}`];
      if (!needs(`weight${layer}`) && !needs(`bias${layer}`)) return {};
      const [k, n] = weight.shape as [number, number];
      const dWeight = recorder.tensor('dWeight', weight.shape);
      const size = { rows, inner: k, columns: n, layout: plain(n) };
      const dBias = recordWeightGradient(recorder, { addressing: 'rows', a, d, ...size, dWeight, bias: true });
      return { dWeight, dBias };
    };
    const second = weightGradient(2, hidden, dy);
    const first = weightGradient(1, x, dPre);
    let dx: Tensor | undefined;
    if (needs('x')) {
      dx = recorder.like('dx', x);
      recordProduct(recorder, {
        addressing: 'rows',
        a: dPre,
        weight: weight1,
        layout: transposed(hiddenChannels),
        residual: gradientSoFar('x'),
        rows,
        inner: hiddenChannels,
        columns: inner,
        y: dx,
      });
    }
    const gradients = {
      x: dx,
      weight1: first.dWeight,
      bias1: first.dBias,
      weight2: second.dWeight,
      bias2: second.dBias,
    };
    return { ...gradients, residual: dy };
  },
});

/** Multi-head attention among the tokens of each sample: softmax(Q Kᵀ / √dim) V. */

import {
  attentionGradientKernel,
  attentionOutputKernel,
  attentionScoresGradientKernel,
  attentionWeightsKernel,
} from '../../shaders/attention.wgsl.ts';
import { WORKGROUP } from '../../shaders/lib/kernel.ts';
import { defineOp, foldWorkgroups, need, needDType } from '../tape/op.ts';
import type { Tensor } from '../tape/tensor.ts';
import { perElement } from './shapes.ts';

export type AttentionInputs = {
  /** [..., 3 · C], a row a token: query, key, value side by side, each head by head, as one linear layer gives them. */
  readonly qkv: Tensor;
};

export interface AttentionAttributes {
  readonly heads: number;
  /** Tokens attend to the others of their sample; the rows of a sample are contiguous and equally many in each. */
  readonly samples: number;
}

export const attention = defineOp({
  name: 'attention',

  infer({ qkv }: AttentionInputs, { heads, samples }: AttentionAttributes) {
    needDType('attention', 'qkv', qkv, 'f32');
    const triple = qkv.channels;
    const fits = Number.isInteger(heads) && heads >= 1 && triple % (3 * heads) === 0;
    need(fits, 'attention: heads', `${heads} for ${triple} = 3 · ${triple / 3} channels`, 'a divisor of the channels');
    const even = Number.isInteger(samples) && samples >= 1 && qkv.rows % samples === 0;
    need(even, 'attention: samples', `${samples} for ${qkv.rows} tokens`, 'equally many tokens in each');
    return [...qkv.shape.slice(0, -1), triple / 3];
  },

  forward(recorder, { qkv }, { heads, samples }, y) {
    const { tokens, sizes, scale } = sizesOf(qkv, heads, samples);
    const rows = samples * heads * tokens;
    const weights = recorder.tensor('weights', [samples, heads, tokens, tokens]);
    const uniforms = { count: rows, ...sizes, scale };
    const workgroups = foldWorkgroups(rows * WORKGROUP, WORKGROUP);
    recorder.dispatch(attentionWeightsKernel(), { qkv, weights }, { uniforms, workgroups, flops: 2 * y.size * tokens });
    const launch = { ...perElement(y.size, sizes), flops: 2 * y.size * tokens };
    recorder.dispatch(attentionOutputKernel(), { qkv, weights, y }, launch);
    return { weights };
  },

  backward(recorder, { inputs: { qkv }, attributes: { heads, samples }, saved: { weights }, dy }) {
    const { tokens, sizes, scale } = sizesOf(qkv, heads, samples);
    const rows = samples * heads * tokens;
    const dScores = recorder.tensor('dScores', weights.shape);
    const workgroups = foldWorkgroups(rows * WORKGROUP, WORKGROUP);
    const flops = 2 * dy.size * tokens;
    recorder.dispatch(
      attentionScoresGradientKernel(),
      { qkv, weights, dy, dScores },
      { uniforms: { count: rows, ...sizes }, workgroups, flops },
    );
    const dQkv = recorder.like('dQkv', qkv);
    const launch = { ...perElement(qkv.size, { ...sizes, scale }), flops: 3 * flops };
    recorder.dispatch(attentionGradientKernel(), { qkv, weights, dScores, dy, dQkv }, launch);
    return { qkv: dQkv };
  },
});

function sizesOf(qkv: Tensor, heads: number, samples: number) {
  const tokens = qkv.rows / samples;
  const dim = qkv.channels / 3 / heads;
  return { tokens, sizes: { tokens, heads, dim }, scale: 1 / Math.sqrt(dim) };
}

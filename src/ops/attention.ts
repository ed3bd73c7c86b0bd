/** Multi-head attention among the tokens of each sample: softmax(Q Kᵀ / √dim) V. */

import {
  attentionGradientKernel,
  attentionOutputKernel,
  attentionScoresGradientKernel,
  attentionWeightsKernel,
} from '../../shaders/attention.wgsl.ts';
import { WORKGROUP } from '../../shaders/lib/kernel.ts';
import { defineOp, foldWorkgroups, need, needDType, needRank } from '../tape/op.ts';
import type { Tensor } from '../tape/tensor.ts';
import { perElement } from './shapes.ts';

export type AttentionInputs = {
  /** [samples, tokens, 3 · C]: query, key, value side by side, each head by head, as one linear layer gives them. */
  readonly qkv: Tensor;
};

export interface AttentionAttributes {
  readonly heads: number;
}

export const attention = defineOp({
  name: 'attention',

  infer({ qkv }: AttentionInputs, { heads }: AttentionAttributes) {
    needDType('attention', 'qkv', qkv, 'f32');
    needRank('attention', 'qkv', qkv, 3, '[samples, tokens, 3 · channels]');
    const [samples, tokens, triple] = qkv.shape as [number, number, number];
    const fits = Number.isInteger(heads) && heads >= 1 && triple % (3 * heads) === 0;
    need(fits, 'attention: heads', `${heads} for ${triple} = 3 · ${triple / 3} channels`, 'a divisor of the channels');
    return [samples, tokens, triple / 3];
  },

  forward(recorder, { qkv }, { heads }, y) {
    const { samples, tokens, sizes, scale } = sizesOf(qkv, heads);
    const rows = samples * heads * tokens;
    const weights = recorder.tensor('weights', [samples, heads, tokens, tokens]);
    const uniforms = { count: rows, ...sizes, scale };
    const workgroups = foldWorkgroups(rows * WORKGROUP, WORKGROUP);
    recorder.dispatch(attentionWeightsKernel(), { qkv, weights }, { uniforms, workgroups, flops: 2 * y.size * tokens });
    const launch = { ...perElement(y.size, sizes), flops: 2 * y.size * tokens };
    recorder.dispatch(attentionOutputKernel(), { qkv, weights, y }, launch);
    return { weights };
  },

  backward(recorder, { inputs: { qkv }, attributes: { heads }, saved: { weights }, dy }) {
    const { samples, tokens, sizes, scale } = sizesOf(qkv, heads);
    const rows = samples * heads * tokens;
    const dScores = recorder.tensor('dScores', weights.shape);
    const workgroups = foldWorkgroups(rows * WORKGROUP, WORKGROUP);
    const flops = 2 * dy.size * tokens;
    recorder.dispatch(
      attentionScoresGradientKernel(),
      { qkv, weights, dy, dScores },
      { uniforms: { count: rows, ...sizes }, workgroups, flops },
    );
    const dQkv = recorder.tensor('dQkv', qkv.shape);
    const launch = { ...perElement(qkv.size, { ...sizes, scale }), flops: 3 * flops };
    recorder.dispatch(attentionGradientKernel(), { qkv, weights, dScores, dy, dQkv }, launch);
    return { qkv: dQkv };
  },
});

function sizesOf(qkv: Tensor, heads: number) {
  const [samples, tokens, triple] = qkv.shape as [number, number, number];
  const dim = triple / 3 / heads;
  return { samples, tokens, sizes: { tokens, heads, dim }, scale: 1 / Math.sqrt(dim) };
}

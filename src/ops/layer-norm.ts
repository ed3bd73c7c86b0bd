/** Layer normalisation over the last axis (a voxel's or a token's channels), biased variance. */

import type { ColumnTerms } from '../../shaders/column-sums.wgsl.ts';
import { layerNormGradientKernel, layerNormKernel, layerNormLanes } from '../../shaders/layer-norm.wgsl.ts';
import { WORKGROUP } from '../../shaders/lib/kernel.ts';
import { defineOp, foldWorkgroups, needDType, needShape, type Recorder } from '../tape/op.ts';
import type { Tensor } from '../tape/tensor.ts';
import { recordColumnSums } from './column-sums.ts';

export type LayerNormInputs = {
  /** [..., C] */
  readonly x: Tensor;
  /** [C] */
  readonly gamma: Tensor;
  /** [C] */
  readonly beta: Tensor;
};

export interface LayerNormAttributes {
  /** Added to the variance: 1e-6 in the convolutional stages, 1e-5 in the transformer. */
  readonly epsilon: number;
}

const PARAMETER_TERMS: ColumnTerms = {
  name: 'layer-norm',
  reads: { x: 'f32', statistics: 'f32', dy: 'f32' },
  terms: ['dy[at] * (x[at] - statistics[2u * row]) * statistics[2u * row + 1u]', 'dy[at]'],
};

export const layerNorm = defineOp({
  name: 'layerNorm',

  infer({ x, gamma, beta }: LayerNormInputs, _: LayerNormAttributes) {
    needDType('layerNorm', 'x', x, 'f32');
    needShape('layerNorm', 'gamma', gamma, [x.channels]);
    needShape('layerNorm', 'beta', beta, [x.channels]);
    return x.shape;
  },

  forward(recorder, { x, gamma, beta }, { epsilon }, y) {
    const { rows, channels } = x;
    const lanes = lanesFor(recorder, channels);
    const statistics = recorder.tensor('statistics', [rows, 2]);
    recorder.dispatch(
      layerNormKernel(lanes),
      { x, gamma, beta, y, statistics },
      { uniforms: { rows, channels, epsilon }, workgroups: foldWorkgroups(rows * lanes, WORKGROUP) },
    );
    return { statistics };
  },

  backward(recorder, { inputs: { x, gamma }, saved: { statistics }, dy, needs, gradientSoFar }) {
    const { rows, channels } = x;
    const lanes = lanesFor(recorder, channels);
    let dx: Tensor | undefined;
    if (needs('x')) {
      dx = recorder.like('dx', x);
      const residual = gradientSoFar('x');
      recorder.dispatch(
        layerNormGradientKernel(lanes, residual !== undefined),
        { x, gamma, statistics, dy, residual, dx },
        { uniforms: { rows, channels }, workgroups: foldWorkgroups(rows * lanes, WORKGROUP) },
      );
    }
    if (!needs('gamma') && !needs('beta')) return { x: dx };
    const [dGamma, dBeta] = recordColumnSums(recorder, PARAMETER_TERMS, { x, statistics, dy }, { rows, channels });
    return { x: dx, gamma: dGamma, beta: dBeta };
  },
});

function lanesFor(recorder: Recorder, channels: number): number {
  return layerNormLanes(channels, recorder.target.class !== 'gpu');
}

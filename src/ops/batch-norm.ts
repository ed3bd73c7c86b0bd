/**
 * Batch normalisation over every voxel of the batch, ReLU at will. In training the batch's own statistics (biased variance)
 * normalise and the running ones move by `momentum` (with the unbiased variance); in evaluation the running ones normalise.
 */

import {
  batchMomentsKernel,
  batchNormGradientKernel,
  batchNormKernel,
  batchNormTerms,
  batchStatisticsKernel,
  frozenStatisticsKernel,
} from '../../shaders/batch-norm.wgsl.ts';
import { columnChunks } from '../../shaders/column-sums.wgsl.ts';
import { WORKGROUP } from '../../shaders/lib/kernel.ts';
import { defineOp, foldWorkgroups, need, needDType, needShape, readsAhead } from '../tape/op.ts';
import type { Tensor } from '../tape/tensor.ts';
import { recordColumnSums } from './column-sums.ts';
import { perChannel, perElement } from './shapes.ts';

export type BatchNormInputs = {
  /** [..., C] */
  readonly x: Tensor;
  /** [C] each */
  readonly gamma: Tensor;
  readonly beta: Tensor;
  /** States, updated in training. */
  readonly runningMean: Tensor;
  readonly runningVariance: Tensor;
};

export interface BatchNormAttributes {
  readonly training: boolean;
  /** Cuts the result at zero. */
  readonly relu: boolean;
  /** Share of the batch's statistics in the new running ones, 0.1. */
  readonly momentum?: number;
  /** Added to the variance, 1e-5. */
  readonly epsilon?: number;
}

export const batchNorm = defineOp({
  name: 'batchNorm',

  infer({ x, ...perChannel }: BatchNormInputs, { training }: BatchNormAttributes) {
    needDType('batchNorm', 'x', x, 'f32');
    for (const [argument, tensor] of Object.entries(perChannel)) needShape('batchNorm', argument, tensor, [x.channels]);
    need(!training || x.rows > 1, 'batchNorm: argument "x"', 'one row', 'at least two to take statistics of');
    return x.shape;
  },

  forward(recorder, { x, gamma, beta, runningMean, runningVariance }, attributes, y) {
    const { training, relu, momentum = 0.1, epsilon = 1e-5 } = attributes;
    const { rows, channels } = x;
    const statistics = recorder.tensor('statistics', [2, channels]);
    if (training) {
      const isCpu = recorder.target.class !== 'gpu';
      const chunks = columnChunks(rows, channels, isCpu);
      const partials = recorder.tensor('partials', [3, chunks, channels]);
      recorder.dispatch(
        batchMomentsKernel(readsAhead(recorder.target)),
        { x, partials },
        perElement(chunks * channels, { rows, channels }),
      );
      statistics.recomputable = false; // written by a launch that moves the running ones, which must not run twice
      const moving = { channels, chunks, epsilon, keep: 1 - momentum, unbias: rows / (rows - 1) };
      const launch = perElement(channels, moving);
      recorder.dispatch(
        batchStatisticsKernel(!isCpu),
        { partials, statistics, runningMean, runningVariance },
        isCpu ? launch : { ...launch, workgroups: foldWorkgroups(channels * WORKGROUP, WORKGROUP) },
      );
    } else {
      recorder.dispatch(
        frozenStatisticsKernel(),
        { runningMean, runningVariance, statistics },
        perElement(channels, { epsilon }),
      );
    }
    recorder.dispatch(
      batchNormKernel(relu),
      { x, statistics, gamma, beta, y },
      perChannel(recorder.target, rows, channels),
    );
    return { statistics };
  },

  backward(recorder, { inputs: { x, gamma, beta }, attributes, saved: { statistics }, dy, needs }) {
    const { training, relu } = attributes;
    const { rows, channels } = x;
    const bind = { x, statistics, dy, ...(relu && { gamma, beta }) };
    const [dBeta, dGamma] = recordColumnSums(recorder, batchNormTerms(relu), bind, { rows, channels }) as [
      Tensor,
      Tensor,
    ];
    let dx: Tensor | undefined;
    if (needs('x')) {
      dx = recorder.like('dx', x);
      const sums = training ? { dBeta, dGamma } : {};
      const launch = perChannel(recorder.target, rows, channels, { share: 1 / rows });
      recorder.dispatch(batchNormGradientKernel(relu, !training), { ...bind, gamma, ...sums, dx }, launch);
    }
    return { x: dx, gamma: dGamma, beta: dBeta };
  },
});

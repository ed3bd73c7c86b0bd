import { Tensor } from '../tape/tensor.ts';
import { defineCases, type SampleInput, type Values } from '../testing/op-cases.ts';
import { columnSums } from '../testing/oracles.ts';
import { type BatchNormAttributes, batchNorm } from './batch-norm.ts';

function sample(name: string, lead: number[], channels: number, attributes: BatchNormAttributes, mean = 0) {
  const perChannel = (role?: 'state', value?: (draw: number) => number): SampleInput => ({
    shape: [channels],
    role,
    value,
  });
  return {
    name,
    inputs: {
      x: { shape: [...lead, channels], value: (draw: number) => 2 * draw + mean },
      gamma: perChannel(),
      beta: perChannel(),
      runningMean: perChannel('state'),
      runningVariance: perChannel('state', (draw) => 0.5 + Math.abs(draw)),
    },
    attributes,
  };
}

function statistics({ x, gamma, runningMean, runningVariance }: Values, training: boolean) {
  const channels = gamma!.length;
  const rows = x!.length / channels;
  if (!training) return { mean: runningMean!, variance: runningVariance!, rows, channels };
  const mean = columnSums(x!, channels).map((v) => v / rows);
  const variance = columnSums(
    x!.map((v, i) => (v - mean[i % channels]!) ** 2),
    channels,
  ).map((v) => v / rows);
  return { mean, variance, rows, channels };
}

function normalised(inputs: Values, training: boolean) {
  const { mean, variance, rows, channels } = statistics(inputs, training);
  const rstd = variance.map((v) => 1 / Math.sqrt(v + 1e-5));
  const hat = inputs.x!.map((v, i) => (v - mean[i % channels]!) * rstd[i % channels]!);
  const pre = hat.map((v, i) => v * inputs.gamma![i % channels]! + inputs.beta![i % channels]!);
  return { hat, pre, rstd, mean, variance, rows, channels };
}

const tensor = (shape: number[]) => new Tensor('t', shape, 'f32', 'input', false);
const states = (n: number) => ({ runningMean: tensor([n]), runningVariance: tensor([n]) });

export const batchNormCases = defineCases<BatchNormAttributes>({
  op: 'batchNorm',
  samples: [
    sample('training, odd channels', [3, 27], 5, { training: true, relu: false }),
    sample('training with ReLU', [2, 512], 6, { training: true, relu: true }),
    sample('training, one channel, many rows', [5000], 1, { training: true, relu: false }),
    sample('training, three rows', [3], 3, { training: true, relu: false }),
    sample('training, mean far from zero', [900], 4, { training: true, relu: true }, 60),
    sample('evaluation', [40], 7, { training: false, relu: false }),
    sample('evaluation with ReLU', [40], 8, { training: false, relu: true }),
  ],
  record: (tape, inputs, attributes) => batchNorm(tape, inputs as Parameters<typeof batchNorm>[1], attributes),

  forward(inputs, { training, relu }) {
    const { pre, mean, variance, rows } = normalised(inputs, training);
    const y = relu ? pre.map((v) => Math.max(v, 0)) : pre;
    const { runningMean, runningVariance } = inputs as { runningMean: Float64Array; runningVariance: Float64Array };
    if (!training) return { y, states: { runningMean, runningVariance } };
    return {
      y,
      states: {
        runningMean: runningMean.map((v, c) => 0.9 * v + 0.1 * mean[c]!),
        runningVariance: runningVariance.map((v, c) => 0.9 * v + (0.1 * variance[c]! * rows) / (rows - 1)),
      },
    };
  },

  backward(inputs, { training, relu }, dy) {
    const { hat, pre, rstd, rows, channels } = normalised(inputs, training);
    const g = relu ? dy.map((v, i) => (pre[i]! > 0 ? v : 0)) : dy;
    const dBeta = columnSums(g, channels);
    const dGamma = columnSums(
      g.map((v, i) => v * hat[i]!),
      channels,
    );
    const dx = g.map((v, i) => {
      const c = i % channels;
      const centred = training ? v - (dBeta[c]! + hat[i]! * dGamma[c]!) / rows : v;
      return inputs.gamma![c]! * rstd[c]! * centred;
    });
    return { x: dx, gamma: dGamma, beta: dBeta };
  },

  wrong: [
    {
      name: 'statistics of another length',
      record: (tape) =>
        batchNorm(
          tape,
          { x: tensor([4, 3]), gamma: tensor([3]), beta: tensor([3]), ...states(4) },
          { training: true, relu: false },
        ),
      message: /batchNorm: argument "runningMean": got \[4\], need \[3\]/,
    },
    {
      name: 'one row',
      record: (tape) =>
        batchNorm(
          tape,
          { x: tensor([1, 3]), gamma: tensor([3]), beta: tensor([3]), ...states(3) },
          { training: true, relu: false },
        ),
      message: /got one row, need at least two/,
    },
  ],
  tolerance: { forward: 5e-5, backward: 5e-5, why: 'a mean of 30 deviations costs five bits' },
});

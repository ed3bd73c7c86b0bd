import { Tensor } from '../tape/tensor.ts';
import { defineCases, type Values } from '../testing/op-cases.ts';
import { columnSums } from '../testing/oracles.ts';
import { type LayerNormAttributes, layerNorm } from './layer-norm.ts';

function sample(name: string, lead: number[], channels: number, epsilon = 1e-6, mean = 0) {
  const x = { shape: [...lead, channels], value: (draw: number) => draw + mean };
  return { name, inputs: { x, gamma: { shape: [channels] }, beta: { shape: [channels] } }, attributes: { epsilon } };
}

/** x̂ and 1 / deviation of each element's row. */
function normalise(x: Float64Array, channels: number, epsilon: number) {
  const hat = new Float64Array(x.length);
  const rstd = new Float64Array(x.length / channels);
  for (let row = 0; row < rstd.length; row++) {
    const values = x.subarray(row * channels, (row + 1) * channels);
    const mean = values.reduce((a, b) => a + b, 0) / channels;
    const variance = values.reduce((a, b) => a + (b - mean) ** 2, 0) / channels;
    rstd[row] = 1 / Math.sqrt(variance + epsilon);
    values.forEach((v, c) => {
      hat[row * channels + c] = (v - mean) * rstd[row]!;
    });
  }
  return { hat, rstd };
}

const tensor = (shape: number[]) => new Tensor('t', shape, 'f32', 'input', false);

export const layerNormCases = defineCases<LayerNormAttributes>({
  op: 'layerNorm',
  samples: [
    sample('voxels, odd channels', [3, 8], 5),
    sample('many rows of 4', [700], 4),
    sample('tokens', [2, 9], 48, 1e-5),
    sample('wide rows', [7], 384, 1e-5),
    sample('mean far from zero', [33], 16, 1e-5, 30),
  ],
  record: (tape, { x, gamma, beta }, attributes) => layerNorm(tape, { x: x!, gamma: gamma!, beta: beta! }, attributes),

  forward({ x, gamma, beta }: Values, { epsilon }) {
    const channels = gamma!.length;
    const { hat } = normalise(x!, channels, epsilon);
    return { y: hat.map((v, i) => v * gamma![i % channels]! + beta![i % channels]!) };
  },

  backward({ x, gamma }, { epsilon }, dy) {
    const channels = gamma!.length;
    const { hat, rstd } = normalise(x!, channels, epsilon);
    const g = dy.map((v, i) => v * gamma![i % channels]!);
    const dx = new Float64Array(x!.length);
    for (let row = 0; row < rstd.length; row++) {
      const at = (c: number) => row * channels + c;
      let meanG = 0;
      let meanProduct = 0;
      for (let c = 0; c < channels; c++) {
        meanG += g[at(c)]! / channels;
        meanProduct += (g[at(c)]! * hat[at(c)]!) / channels;
      }
      for (let c = 0; c < channels; c++) dx[at(c)] = rstd[row]! * (g[at(c)]! - meanG - hat[at(c)]! * meanProduct);
    }
    return {
      x: dx,
      gamma: columnSums(
        dy.map((v, i) => v * hat[i]!),
        channels,
      ),
      beta: columnSums(dy, channels),
    };
  },

  wrong: [
    {
      name: 'gamma of another length',
      record: (tape) =>
        layerNorm(tape, { x: tensor([2, 3]), gamma: tensor([4]), beta: tensor([3]) }, { epsilon: 1e-6 }),
      message: /layerNorm: argument "gamma": got \[4\], need \[3\]/,
    },
  ],
  tolerance: { forward: 2e-5, backward: 5e-5, why: 'subtracting a mean of 30 deviations costs five bits' },
});

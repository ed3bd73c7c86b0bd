import { Tensor } from '../tape/tensor.ts';
import { defineCases, type SampleTable, type Values } from '../testing/op-cases.ts';
import { patchLoss } from './patch-loss.ts';

function sample(name: string, table: SampleTable, edge: number) {
  const all = table.visible.length * table.grid[0] * table.grid[1] * table.grid[2];
  const shape = [all, edge ** 3, 1];
  return {
    name,
    table,
    inputs: { prediction: { shape }, image: { shape, role: 'constant' as const } },
    attributes: edge ** 3,
  };
}

/** Calls back with each hidden patch's first voxel and its normalised target. */
function eachHidden(
  { image }: Values,
  voxels: number,
  table: SampleTable,
  visit: (first: number, target: number[]) => void,
): number {
  const perGrid = table.grid[0] * table.grid[1] * table.grid[2];
  let hidden = 0;
  table.visible.forEach((cells, sample) => {
    for (let cell = 0; cell < perGrid; cell++) {
      if (cells.includes(cell)) continue;
      hidden++;
      const first = (sample * perGrid + cell) * voxels;
      const patch = Array.from(image!.subarray(first, first + voxels));
      const mean = patch.reduce((a, b) => a + b, 0) / voxels;
      const variance = patch.reduce((a, b) => a + (b - mean) ** 2, 0) / (voxels - 1);
      visit(
        first,
        patch.map((v) => (v - mean) / Math.sqrt(variance + 1e-6)),
      );
    }
  });
  return hidden;
}

const tensor = (shape: number[]) => new Tensor('t', shape, 'f32', 'input', false);

export const patchLossCases = defineCases<number>({
  op: 'patchLoss',
  samples: [
    sample('batch 3', { grid: [2, 2, 1], visible: [[0], [3], [1]] }, 4),
    sample('one hidden', { grid: [3, 1, 1], visible: [[0, 2]] }, 2),
    sample('patches of 16', { grid: [2, 1, 1], visible: [[1]] }, 16),
  ],
  record: (tape, { prediction, image }, _, table) =>
    patchLoss(tape, { prediction: prediction!, image: image! }, { visible: table }),
  forward(inputs, voxels, { table }) {
    let sum = 0;
    const hidden = eachHidden(inputs, voxels, table!, (first, target) => {
      sum += target.reduce((s, t, i) => s + (inputs.prediction![first + i]! - t) ** 2, 0) / voxels;
    });
    return { y: Float64Array.of(sum / (hidden + 1e-8)) };
  },
  backward(inputs, voxels, dy, { table }) {
    const dPrediction = new Float64Array(inputs.prediction!.length);
    const hidden = eachHidden(inputs, voxels, table!, (first, target) => {
      target.forEach((t, i) => {
        dPrediction[first + i] = (2 * dy[0]! * (inputs.prediction![first + i]! - t)) / voxels;
      });
    });
    return { prediction: dPrediction.map((v) => v / (hidden + 1e-8)) };
  },
  wrong: [
    {
      name: 'prediction of the visible bricks only',
      record: (tape, table) =>
        patchLoss(tape, { prediction: tensor([3, 64, 1]), image: tensor([12, 64, 1]) }, { visible: table }),
      message: /patchLoss: argument "prediction": got \[3, 64, 1\], need \[12, 64, 1\]/,
    },
  ],
});

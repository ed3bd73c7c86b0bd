import { Tensor } from '../tape/tensor.ts';
import { defineCases, type SampleTable } from '../testing/op-cases.ts';
import { unpatch } from './unpatch.ts';

function sample(name: string, table: SampleTable, edge: number) {
  const shape = [table.visible.length * table.grid[0] * table.grid[1] * table.grid[2], edge ** 3, 1];
  const constant = { shape, role: 'constant' as const };
  return { name, table, inputs: { prediction: constant, image: constant }, attributes: edge ** 3 };
}

const tensor = (shape: number[]) => new Tensor('t', shape, 'f32', 'input', false);

export const unpatchCases = defineCases<number>({
  op: 'unpatch',
  samples: [
    sample('batch 3', { grid: [2, 2, 1], visible: [[0], [3], [1]] }, 4),
    sample('one hidden', { grid: [3, 1, 1], visible: [[0, 2]] }, 2),
    sample('none hidden', { grid: [1, 2, 1], visible: [[0, 1]] }, 4),
    sample('patches of 16', { grid: [2, 1, 1], visible: [[1]] }, 16),
  ],
  record: (tape, { prediction, image }, _, table) =>
    unpatch(tape, { prediction: prediction!, image: image! }, { visible: table }),
  forward({ prediction, image }, voxels, { table }) {
    const perGrid = table!.grid[0] * table!.grid[1] * table!.grid[2];
    const y = image!.slice();
    for (let patch = 0; patch * voxels < y.length; patch++) {
      if (table!.visible[Math.floor(patch / perGrid)]!.includes(patch % perGrid)) continue;
      const own = image!.subarray(patch * voxels, (patch + 1) * voxels);
      const mean = own.reduce((a, b) => a + b, 0) / voxels;
      const variance = own.reduce((a, b) => a + (b - mean) ** 2, 0) / (voxels - 1);
      for (let v = patch * voxels; v < (patch + 1) * voxels; v++) {
        y[v] = prediction![v]! * Math.sqrt(variance + 1e-6) + mean;
      }
    }
    return { y };
  },
  wrong: [
    {
      name: 'prediction of the visible bricks only',
      record: (tape, table) =>
        unpatch(tape, { prediction: tensor([3, 64, 1]), image: tensor([12, 64, 1]) }, { visible: table }),
      message: /unpatch: argument "prediction": got \[3, 64, 1\], need \[12, 64, 1\]/,
    },
  ],
});

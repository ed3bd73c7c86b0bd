import { Tensor } from '../tape/tensor.ts';
import { defineCases, type SampleTable } from '../testing/op-cases.ts';
import { positionAdd } from './position-add.ts';

const table: SampleTable = {
  grid: [2, 1, 3],
  visible: [
    [0, 4],
    [2, 3],
    [1, 5],
  ],
};
const tensor = (shape: number[]) => new Tensor('t', shape, 'f32', 'input', false);

export const positionAddCases = defineCases<number>({
  op: 'positionAdd',
  samples: [
    {
      name: 'batch 3',
      table,
      inputs: { x: { shape: [6, 1, 5] }, positions: { shape: [6, 5], role: 'constant' } },
      attributes: 5,
    },
  ],
  record: (tape, { x, positions }, _, brickTable) => positionAdd(tape, { x: x!, positions: positions! }, brickTable),
  forward: ({ x, positions }, channels) => ({
    y: x!.map((v, i) => v + positions![table.visible.flat()[Math.floor(i / channels)]! * channels + (i % channels)]!),
  }),
  backward: (_, __, dy) => ({ x: dy }),
  wrong: [
    {
      name: 'a table for another grid',
      record: (tape, t) => positionAdd(tape, { x: tensor([6, 1, 5]), positions: tensor([7, 5]) }, t),
      message: /positionAdd: argument "positions": got \[7, 5\], need \[6, 5\]/,
    },
  ],
});

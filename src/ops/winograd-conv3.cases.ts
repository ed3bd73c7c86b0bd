/** The loops, and the samples with bricks of more than one voxel, are those of `conv3`. */

import { Tensor } from '../tape/tensor.ts';
import { defineCases } from '../testing/op-cases.ts';
import { conv3Cases } from './conv3.cases.ts';
import { winogradConv3 } from './winograd-conv3.ts';

const tensor = (shape: number[]) => new Tensor('t', shape, 'f32', 'input', false);

export const winogradConv3Cases = defineCases({
  ...conv3Cases,
  op: 'winogradConv3',
  samples: conv3Cases.samples.filter(({ attributes }) => attributes.edge > 1),
  record: (tape, { x, weight, bias }, _, table) => winogradConv3(tape, { x: x!, weight: weight!, bias }, table),
  wrong: [
    {
      name: 'input channels',
      record: (tape, table) =>
        winogradConv3(tape, { x: tensor([table.bricks, 8, 3]), weight: tensor([27, 4, 5]) }, table),
      message: /winogradConv3: argument "weight": got \[27, 4, 5\], need \[27, 3, 5\]/,
    },
    {
      name: 'bricks of one voxel',
      record: (tape, table) =>
        winogradConv3(tape, { x: tensor([table.bricks, 1, 4]), weight: tensor([27, 4, 5]) }, table),
      message: /got bricks of one voxel, need bricks of edge 2/,
    },
  ],
});

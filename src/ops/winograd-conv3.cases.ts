/** The loops, and the samples whose bricks hold a tile, are those of `conv3`. */

import type { Tile } from '../../shaders/lib/winograd.ts';
import { Tensor } from '../tape/tensor.ts';
import { defineCases } from '../testing/op-cases.ts';
import { conv3Cases } from './conv3.cases.ts';
import { winogradConv3 } from './winograd-conv3.ts';

const tensor = (shape: number[]) => new Tensor('t', shape, 'f32', 'input', false);

const TILES: readonly Tile[] = [
  [2, 2, 2],
  [2, 4, 4],
];

export const winogradConv3Cases = defineCases({
  ...conv3Cases,
  op: 'winogradConv3',
  samples: TILES.flatMap((tile) =>
    conv3Cases.samples
      .filter(({ attributes }) => attributes.edge >= Math.max(...tile))
      .map(({ name, attributes, ...rest }) => ({
        ...rest,
        name: `${name}, tiles of ${tile.join('×')}`,
        attributes: { ...attributes, tile },
      })),
  ),
  record: (tape, { x, weight, bias }, { tile }, table) =>
    winogradConv3(tape, { x: x!, weight: weight!, bias }, { table, tile }),
  wrong: [
    {
      name: 'input channels',
      record: (tape, table) =>
        winogradConv3(
          tape,
          { x: tensor([table.bricks, 8, 3]), weight: tensor([27, 4, 5]) },
          { table, tile: [2, 2, 2] },
        ),
      message: /winogradConv3: argument "weight": got \[27, 4, 5\], need \[27, 3, 5\]/,
    },
    {
      name: 'tiles larger than bricks',
      record: (tape, table) =>
        winogradConv3(
          tape,
          { x: tensor([table.bricks, 8, 4]), weight: tensor([27, 4, 5]) },
          { table, tile: [2, 4, 4] },
        ),
      message: /got bricks of edge 2, need tiles of 2 × 4 × 4 voxels in them/,
    },
  ],
});

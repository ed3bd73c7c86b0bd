import { defineCases, type SampleTable } from '../testing/op-cases.ts';
import { fromDense } from '../testing/oracles.ts';
import { gatherBricks } from './gather-bricks.ts';

function sample(name: string, table: SampleTable, edge: number) {
  const [x, y, z] = table.grid;
  const volume = { shape: [table.visible.length, x * edge, y * edge, z * edge], role: 'constant' as const };
  return { name, table, inputs: { volume }, attributes: { edge } };
}

export const gatherBricksCases = defineCases<{ edge: number }>({
  op: 'gatherBricks',
  samples: [
    sample(
      'batch 3',
      {
        grid: [2, 3, 1],
        visible: [
          [0, 5],
          [1, 2],
          [3, 4],
        ],
      },
      4,
    ),
    sample('all bricks', { grid: [1, 2, 3], visible: [[0, 1, 2, 3, 4, 5]] }, 2),
    sample('patches', { grid: [2, 1, 2], visible: [[3]] }, 16),
  ],
  record: (tape, { volume }, { edge }, table) => gatherBricks(tape, { volume: volume! }, { table, edge }),
  forward({ volume }, { edge }, { table }) {
    const size = table!.grid.map((n) => n * edge) as [number, number, number];
    return { y: fromDense({ batch: table!.visible.length, size, channels: 1, values: volume! }, table!, edge) };
  },
  wrong: [
    {
      name: 'a volume that is not the grid',
      record: (tape, table) => gatherBricks(tape, { volume: tape.input('v', [3, 8, 12, 5]) }, { table, edge: 4 }),
      message: /gatherBricks: argument "volume": got \[3, 8, 12, 5\], need \[3, 8, 12, 4\]/,
    },
  ],
  tolerance: { forward: 0, backward: 0, why: 'values are copied' },
});

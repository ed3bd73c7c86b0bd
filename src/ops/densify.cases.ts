import { Tensor } from '../tape/tensor.ts';
import { defineCases, type SampleTable } from '../testing/op-cases.ts';
import { densify } from './densify.ts';

interface Sizes {
  readonly edge: number;
  readonly channels: number;
}

const SPARSE: SampleTable = {
  grid: [2, 1, 3],
  visible: [
    [0, 4],
    [2, 3],
    [1, 5],
  ],
};

function sample(name: string, table: SampleTable, edge: number, channels: number) {
  const bricks = table.visible.flat().length;
  return {
    name,
    table,
    inputs: { x: { shape: [bricks, edge ** 3, channels] }, token: { shape: [channels] } },
    attributes: { edge, channels },
  };
}

/** Calls back with (element of the dense map, element of x or −1, channel). */
function each(
  table: SampleTable,
  { edge, channels }: Sizes,
  visit: (to: number, from: number, channel: number) => void,
): void {
  const perGrid = table.grid[0] * table.grid[1] * table.grid[2];
  const plane = edge ** 3 * channels;
  let slot = 0;
  table.visible.forEach((cells, sample) => {
    for (let cell = 0; cell < perGrid; cell++) {
      const brick = cells.includes(cell) ? slot++ : -1;
      for (let i = 0; i < plane; i++)
        visit((sample * perGrid + cell) * plane + i, brick < 0 ? -1 : brick * plane + i, i % channels);
    }
  });
}

const tensor = (shape: number[]) => new Tensor('t', shape, 'f32', 'input', false);

export const densifyCases = defineCases<Sizes>({
  op: 'densify',
  samples: [
    sample('batch 3, edge 4, odd channels', SPARSE, 4, 5),
    sample('tokens', SPARSE, 1, 12),
    sample('one visible brick, one channel', { grid: [3, 1, 1], visible: [[1]] }, 2, 1),
    sample('nothing hidden', { grid: [2, 1, 1], visible: [[0, 1]] }, 2, 3),
  ],
  record: (tape, { x, token }, _, table) => densify(tape, { x: x!, token: token! }, table),
  forward({ x, token }, sizes, { table }) {
    const perGrid = table!.grid[0] * table!.grid[1] * table!.grid[2];
    const y = new Float64Array(table!.visible.length * perGrid * sizes.edge ** 3 * sizes.channels);
    each(table!, sizes, (to, from, channel) => {
      y[to] = from < 0 ? token![channel]! : x![from]!;
    });
    return { y };
  },
  backward({ x, token }, sizes, dy, { table }) {
    const dx = new Float64Array(x!.length);
    const dToken = new Float64Array(token!.length);
    each(table!, sizes, (to, from, channel) => {
      if (from < 0) dToken[channel]! += dy[to]!;
      else dx[from] = dy[to]!;
    });
    return { x: dx, token: dToken };
  },
  wrong: [
    {
      name: 'token of other channels',
      record: (tape, table) => densify(tape, { x: tensor([table.bricks, 8, 3]), token: tensor([4]) }, table),
      message: /densify: argument "token": got \[4\], need \[3\]/,
    },
  ],
});

import type { Tile } from '../../shaders/lib/winograd.ts';
import { Tensor } from '../tape/tensor.ts';
import { defineCases, type SampleTable, type Values } from '../testing/op-cases.ts';
import { columnSums, type Dense, eachNeighbour, fromDense, toDense } from '../testing/oracles.ts';
import { densifyConv3 } from './densify-conv3.ts';

interface Sizes {
  readonly edge: number;
  readonly inner: number;
  readonly columns: number;
  /** Of Winograd's algorithm. */
  readonly tile?: Tile;
}

const SPARSE: SampleTable = {
  grid: [2, 3, 2],
  visible: [
    [0, 4, 11],
    [2, 3, 8],
    [5, 6, 10],
  ],
};

function sample(name: string, table: SampleTable, edge: number, inner: number, columns: number, tile?: Tile) {
  const bricks = table.visible.flat().length;
  const inputs = {
    x: { shape: [bricks, edge ** 3, inner] },
    token: { shape: [inner] },
    weight: { shape: [27, inner, columns] },
    bias: { shape: [columns] },
  };
  return { name, inputs, table, attributes: { edge, inner, columns, tile } };
}

/** A table's grid with every brick of every sample, and the mask: 1 where visible. */
function full({ grid, visible }: SampleTable): SampleTable {
  const cells = Array.from({ length: grid[0] * grid[1] * grid[2] }, (_, cell) => cell);
  return { grid, visible: visible.map(() => cells) };
}

function maskOf(table: SampleTable, edge: number): Dense {
  const rows = table.visible.flat().length * edge ** 3;
  return toDense(new Float64Array(rows).fill(1), table, edge, 1);
}

/** x in its places in the dense volume, the token everywhere else. */
function densified({ x, token }: Values, { edge, inner }: Sizes, table: SampleTable): Dense {
  const dense = toDense(x!, table, edge, inner);
  const mask = maskOf(table, edge).values;
  const values = dense.values.map((v, i) => (mask[Math.floor(i / inner)] ? v : token![i % inner]!));
  return { ...dense, values };
}

const tensor = (shape: number[]) => new Tensor('t', shape, 'f32', 'input', false);
const arguments_ = (bricks: number, edge = 2) => ({
  x: tensor([bricks, edge ** 3, 3]),
  token: tensor([3]),
  weight: tensor([27, 3, 5]),
  bias: tensor([5]),
});

export const densifyConv3Cases = defineCases<Sizes>({
  op: 'densifyConv3',
  samples: [
    sample('batch 3, edge 2, odd channels', SPARSE, 2, 3, 5),
    sample('edge 4, 16 to 12', { grid: [3, 2, 2], visible: [[0, 7, 10]] }, 4, 16, 12),
    sample('edge 8, one visible brick', { grid: [2, 1, 2], visible: [[2]] }, 8, 4, 6),
    sample('one channel, a grid of one brick a side', { grid: [3, 1, 1], visible: [[1]] }, 2, 1, 1),
    sample('in the middle, no brick at the border', { grid: [3, 3, 3], visible: [[13]] }, 2, 5, 3),
    sample('nothing hidden', { grid: [2, 1, 2], visible: [[0, 1, 2, 3]] }, 2, 6, 7),
    sample('wide: 40 to 20', { grid: [2, 2, 2], visible: [[1, 6]] }, 2, 40, 20),
    sample('batch 3, edge 2, by tiles of 2 × 2 × 2', SPARSE, 2, 3, 5, [2, 2, 2]),
    sample('edge 4, by tiles of 2 × 4 × 4', { grid: [3, 2, 2], visible: [[0, 7, 10]] }, 4, 8, 12, [2, 4, 4]),
    sample('edge 8, nothing hidden, by tiles', { grid: [1, 1, 2], visible: [[0, 1]] }, 8, 4, 3, [2, 4, 4]),
  ],
  record: (tape, { x, token, weight, bias }, { tile }, visible, all) =>
    densifyConv3(tape, { x: x!, token: token!, weight: weight!, bias: bias! }, { visible, all, tile }),

  forward(inputs, sizes, { table }) {
    const { weight, bias } = inputs;
    const { edge, inner, columns } = sizes;
    const dense = densified(inputs, sizes, table!);
    const rows = dense.values.length / inner;
    const y = { ...dense, channels: columns, values: Float64Array.from({ length: rows * columns }, (_, i) => bias![i % columns]!) }; // biome-ignore format: one line
    eachNeighbour(dense, (row, from, tap) => {
      for (let k = 0; k < inner; k++)
        for (let n = 0; n < columns; n++)
          y.values[row * columns + n]! += dense.values[from * inner + k]! * weight![(tap * inner + k) * columns + n]!;
    });
    return { y: fromDense(y, full(table!), edge) };
  },

  backward(inputs, sizes, dy, { table }) {
    const { weight } = inputs;
    const { edge, inner, columns } = sizes;
    const dense = densified(inputs, sizes, table!);
    const d = toDense(dy, full(table!), edge, columns);
    const dDense = { ...dense, values: new Float64Array(dense.values.length) };
    const dWeight = new Float64Array(weight!.length);
    eachNeighbour(dense, (row, from, tap) => {
      for (let k = 0; k < inner; k++)
        for (let n = 0; n < columns; n++) {
          const at = (tap * inner + k) * columns + n;
          dDense.values[from * inner + k]! += d.values[row * columns + n]! * weight![at]!;
          dWeight[at]! += d.values[row * columns + n]! * dense.values[from * inner + k]!;
        }
    });
    const mask = maskOf(table!, edge).values;
    const hidden = dDense.values.map((v, i) => (mask[Math.floor(i / inner)] ? 0 : v));
    return {
      x: fromDense(dDense, table!, edge),
      token: columnSums(hidden, inner),
      weight: dWeight,
      bias: columnSums(dy, columns),
    };
  },

  wrong: [
    {
      name: 'bricks of one voxel',
      record: (tape, visible, all) => densifyConv3(tape, arguments_(visible.bricks, 1), { visible, all }),
      message: /densifyConv3: argument "x": got bricks of one voxel, need bricks of edge 2, 4, 8/,
    },
    {
      name: 'tiles larger than bricks',
      record: (tape, visible, all) => densifyConv3(tape, arguments_(visible.bricks), { visible, all, tile: [2, 4, 4] }),
      message: /densifyConv3: argument "x": got bricks of edge 2, need tiles of 2 × 4 × 4 voxels in them/,
    },
    {
      name: 'a table of some bricks for that of all',
      record: (tape, visible) => densifyConv3(tape, arguments_(visible.bricks), { visible, all: visible }),
      message: /densifyConv3: table "all": got 9 bricks, need 36, the whole grid/,
    },
    {
      name: 'token of other channels',
      record: (tape, visible, all) =>
        densifyConv3(tape, { ...arguments_(visible.bricks), token: tensor([4]) }, { visible, all }),
      message: /densifyConv3: argument "token": got \[4\], need \[3\]/,
    },
    {
      name: 'weight of other channels',
      record: (tape, visible, all) =>
        densifyConv3(tape, { ...arguments_(visible.bricks), weight: tensor([27, 4, 5]) }, { visible, all }),
      message: /densifyConv3: argument "weight": got \[27, 4, 5\], need \[27, 3, 5\]/,
    },
  ],
  roundings: () => 2, // x − token, and dx, which the token's gradient is a difference from
});

import type { Tile } from '../../shaders/lib/winograd.ts';
import { Tensor } from '../tape/tensor.ts';
import { defineCases, type SampleTable, type Values } from '../testing/op-cases.ts';
import { columnSums, type Dense, eachChild, eachNeighbour, fromDense, toDense } from '../testing/oracles.ts';
import { upConv3 } from './up-conv3.ts';

interface Sizes {
  /** Of the coarse bricks. */
  readonly edge: number;
  readonly inner: number;
  readonly middle: number;
  readonly columns: number;
  /** Of Winograd's algorithm. */
  readonly tile?: Tile;
}

const list = (n: number) => Array.from({ length: n }, (_, i) => i);
const all = (grid: readonly [number, number, number], batch = 1): SampleTable => ({
  grid,
  visible: list(batch).map(() => list(grid[0] * grid[1] * grid[2])),
});

function sample(
  name: string,
  table: SampleTable,
  edge: number,
  inner: number,
  middle: number,
  columns: number,
  tile?: Tile,
) {
  const bricks = table.visible.flat().length;
  const inputs = {
    x: { shape: [bricks, edge ** 3, inner] },
    upWeight: { shape: [inner, 8, middle] },
    upBias: { shape: [middle] },
    weight: { shape: [27, middle, columns] },
    bias: { shape: [columns] },
  };
  return { name, inputs, table, attributes: { edge, inner, middle, columns, tile } };
}

/** The transposed convolution's result in a dense volume. */
function raised({ x, upWeight, upBias }: Values, { edge, inner, middle }: Sizes, table: SampleTable): Dense {
  const bricks = table.visible.flat().length;
  const values = new Float64Array(bricks * (2 * edge) ** 3 * middle);
  eachChild(bricks, edge, (row, child, tap) => {
    for (let m = 0; m < middle; m++) {
      let sum = upBias![m]!;
      for (let k = 0; k < inner; k++) sum += x![row * inner + k]! * upWeight![(k * 8 + tap) * middle + m]!;
      values[child * middle + m] = sum;
    }
  });
  return toDense(values, table, 2 * edge, middle);
}

/** One convolution after the other. */
function forward(values: Values, sizes: Sizes, table: SampleTable): Float64Array {
  const { edge, middle, columns } = sizes;
  const fine = raised(values, sizes, table);
  const y = new Float64Array((fine.values.length / middle) * columns).map((_, i) => values.bias![i % columns]!);
  eachNeighbour(fine, (row, from, tap) => {
    for (let m = 0; m < middle; m++)
      for (let n = 0; n < columns; n++)
        y[row * columns + n]! += fine.values[from * middle + m]! * values.weight![(tap * middle + m) * columns + n]!;
  });
  return fromDense({ ...fine, channels: columns, values: y }, table, 2 * edge);
}

const tensor = (shape: number[]) => new Tensor('t', shape, 'f32', 'input', false);
const wrong = (bricks: number) => ({
  x: tensor([bricks, 8, 3]),
  upWeight: tensor([3, 8, 4]),
  upBias: tensor([4]),
  weight: tensor([27, 4, 5]),
  bias: tensor([5]),
});

export const upConv3Cases = defineCases<Sizes>({
  op: 'upConv3',
  samples: [
    sample('batch 2, edge 1 to 2, odd channels', all([2, 1, 3], 2), 1, 3, 5, 7),
    sample('edge 2 to 4, 12 to 12 to 6', all([2, 2, 2]), 2, 12, 12, 6),
    sample('batch 2, edge 4 to 8, odd channels', all([1, 2, 1], 2), 4, 5, 4, 3),
    sample('edge 8 to 16, 4 to 4 to 2', all([1, 1, 2]), 8, 4, 4, 2),
    sample('one brick, one channel', all([1, 1, 1]), 2, 1, 1, 1),
    sample('wide: 20 to 24 to 28', all([1, 2, 2]), 2, 20, 24, 28),
    sample('batch 2, edge 4 to 8, by tiles', all([1, 2, 1], 2), 4, 5, 4, 3, [2, 4, 4]),
    sample('edge 8 to 16, by tiles, wide', all([1, 1, 2]), 8, 8, 4, 12, [2, 4, 4]),
    sample('a grid of 2 · 2 · 3, by tiles, one channel', all([2, 2, 3]), 4, 1, 1, 1, [2, 4, 4]),
  ],
  record: (tape, { x, upWeight, upBias, weight, bias }, { tile }, table) =>
    upConv3(tape, { x: x!, upWeight: upWeight!, upBias: upBias!, weight: weight!, bias: bias! }, { table, tile }),
  forward: (inputs, sizes, { table }) => ({ y: forward(inputs, sizes, table!) }),

  backward(values, sizes, dy, { table }) {
    const { edge, inner, middle, columns } = sizes;
    const fine = raised(values, sizes, table!);
    const d = toDense(dy, table!, 2 * edge, columns);
    const dFine = { ...fine, values: new Float64Array(fine.values.length) };
    const dWeight = new Float64Array(values.weight!.length);
    eachNeighbour(fine, (row, from, tap) => {
      for (let m = 0; m < middle; m++)
        for (let n = 0; n < columns; n++) {
          const at = (tap * middle + m) * columns + n;
          dFine.values[from * middle + m]! += d.values[row * columns + n]! * values.weight![at]!;
          dWeight[at]! += d.values[row * columns + n]! * fine.values[from * middle + m]!;
        }
    });
    const dUp = fromDense(dFine, table!, 2 * edge);
    const dx = new Float64Array(values.x!.length);
    const dUpWeight = new Float64Array(values.upWeight!.length);
    eachChild(table!.visible.flat().length, edge, (row, child, tap) => {
      for (let k = 0; k < inner; k++)
        for (let m = 0; m < middle; m++) {
          const at = (k * 8 + tap) * middle + m;
          dx[row * inner + k]! += dUp[child * middle + m]! * values.upWeight![at]!;
          dUpWeight[at]! += dUp[child * middle + m]! * values.x![row * inner + k]!;
        }
    });
    const [upBias, bias] = [columnSums(dUp, middle), columnSums(dy, columns)];
    return { x: dx, upWeight: dUpWeight, upBias, weight: dWeight, bias };
  },

  wrong: [
    {
      name: 'middle channels that differ',
      record: (tape, table) => upConv3(tape, { ...wrong(table.bricks), weight: tensor([27, 6, 5]) }, { table }),
      message: /upConv3: argument "weight": got \[27, 6, 5\], need \[27, 4, 5\]/,
    },
    {
      name: 'tiles larger than bricks',
      record: (tape, table) => upConv3(tape, wrong(table.bricks), { table, tile: [2, 4, 4] }),
      message: /upConv3: argument "x": got bricks of edge 2, need tiles of 2 × 4 × 4 voxels in them/,
    },
    {
      name: 'another number of bricks than the table',
      record: (tape, table) => upConv3(tape, wrong(table.bricks + 1), { table }),
      message: /need 12 bricks, as its table has/,
    },
    {
      name: 'a sparse table',
      record: (tape, table) => upConv3(tape, wrong(8), { table: { ...table, perSample: 4, bricks: 8 } }),
      message: /upConv3: got a table of 4 bricks, need the table of all 6/,
    },
  ],
});

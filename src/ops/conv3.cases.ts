import { Tensor } from '../tape/tensor.ts';
import { defineCases, type SampleInput, type SampleTable, type Values } from '../testing/op-cases.ts';
import { columnSums, type Dense, eachNeighbour, fromDense, toDense } from '../testing/oracles.ts';
import { conv3 } from './conv3.ts';

interface Sizes {
  readonly edge: number;
  readonly inner: number;
  readonly columns: number;
}

export const SPARSE: SampleTable = {
  grid: [2, 3, 2],
  visible: [
    [0, 1, 4, 11],
    [2, 3, 8, 9],
    [5, 6, 7, 10],
  ],
};
const SINGLE: SampleTable = { grid: [3, 3, 3], visible: [[13]] };
const DENSE: SampleTable = { grid: [2, 1, 2], visible: [[0, 1, 2, 3]] };

function sample(name: string, table: SampleTable, edge: number, inner: number, columns: number, bias = true) {
  const bricks = table.visible.flat().length;
  const inputs: Record<string, SampleInput> = {
    x: { shape: [bricks, edge ** 3, inner] },
    weight: { shape: [27, inner, columns] },
  };
  if (bias) inputs.bias = { shape: [columns] };
  return { name, inputs, table, attributes: { edge, inner, columns } };
}

/** Masked dense convolution: absent bricks are zeros in a dense volume. */
function convolve({ x, weight, bias }: Values, { edge, inner, columns }: Sizes, table: SampleTable): Float64Array {
  const dense = toDense(x!, table, edge, inner);
  const y: Dense = { ...dense, channels: columns, values: new Float64Array((dense.values.length / inner) * columns) };
  if (bias) y.values.set(y.values.map((_, i) => bias[i % columns]!));
  eachNeighbour(dense, (row, from, tap) => {
    for (let k = 0; k < inner; k++)
      for (let n = 0; n < columns; n++)
        y.values[row * columns + n]! += dense.values[from * inner + k]! * weight![(tap * inner + k) * columns + n]!;
  });
  return fromDense(y, table, edge);
}

const tensor = (shape: number[]) => new Tensor('t', shape, 'f32', 'input', false);

export const conv3Cases = defineCases<Sizes>({
  op: 'conv3',
  samples: [
    sample('dense, edge 4, 16 to 32', DENSE, 4, 16, 32),
    sample('sparse, batch 3, edge 2, odd channels', SPARSE, 2, 3, 5),
    sample('one visible brick, one channel', SINGLE, 4, 1, 1),
    sample(
      'sparse, edge 8, 4 to 4',
      {
        ...SPARSE,
        visible: [
          [0, 5],
          [1, 7],
        ],
      },
      8,
      4,
      4,
    ),
    sample('edge 1, tokens', SPARSE, 1, 6, 12),
    sample('sparse, 12 to 6, no bias', SPARSE, 2, 12, 6, false),
    sample('edge 16, one input channel', { grid: [2, 1, 1], visible: [[0, 1]] }, 16, 1, 4),
    sample('wide: 20 to 40', DENSE, 2, 20, 40),
  ],
  record: (tape, { x, weight, bias }, _, table) => conv3(tape, { x: x!, weight: weight!, bias }, table),
  forward: (inputs, sizes, { table }) => ({ y: convolve(inputs, sizes, table!) }),

  backward({ x, weight, bias }, { edge, inner, columns }, dy, { table }) {
    const dense = toDense(x!, table!, edge, inner);
    const d = toDense(dy, table!, edge, columns);
    const dx = { ...dense, values: new Float64Array(dense.values.length) };
    const dWeight = new Float64Array(weight!.length);
    eachNeighbour(dense, (row, from, tap) => {
      for (let k = 0; k < inner; k++)
        for (let n = 0; n < columns; n++) {
          const at = (tap * inner + k) * columns + n;
          dx.values[from * inner + k]! += d.values[row * columns + n]! * weight![at]!;
          dWeight[at]! += d.values[row * columns + n]! * dense.values[from * inner + k]!;
        }
    });
    return { x: fromDense(dx, table!, edge), weight: dWeight, ...(bias && { bias: columnSums(dy, columns) }) };
  },

  wrong: [
    {
      name: 'input channels',
      record: (tape, table) => conv3(tape, { x: tensor([table.bricks, 8, 3]), weight: tensor([27, 4, 5]) }, table),
      message: /conv3: argument "weight": got \[27, 4, 5\], need \[27, 3, 5\]/,
    },
    {
      name: 'bricks that are no cubes',
      record: (tape, table) => conv3(tape, { x: tensor([table.bricks, 10, 4]), weight: tensor([27, 4, 5]) }, table),
      message: /edge³, channels\] with edge 1, 2, 4/,
    },
    {
      name: 'another number of bricks than the table',
      record: (tape, table) => conv3(tape, { x: tensor([table.bricks + 1, 8, 4]), weight: tensor([27, 4, 5]) }, table),
      message: /need 4 bricks, as its table has/,
    },
  ],
});

import { Tensor } from '../tape/tensor.ts';
import { defineCases, type SampleTable, type Values } from '../testing/op-cases.ts';
import { columnSums, eachNeighbour, fromDense, toDense } from '../testing/oracles.ts';
import { depthwiseConv3 } from './depthwise-conv3.ts';

interface Sizes {
  readonly edge: number;
  readonly channels: number;
}

const SPARSE: SampleTable = {
  grid: [2, 2, 3],
  visible: [
    [0, 1, 7],
    [2, 8, 9],
    [3, 4, 11],
  ],
};

function sample(name: string, table: SampleTable, edge: number, channels: number) {
  const bricks = table.visible.flat().length;
  const inputs = {
    x: { shape: [bricks, edge ** 3, channels] },
    weight: { shape: [27, channels] },
    bias: { shape: [channels] },
  };
  return { name, inputs, table, attributes: { edge, channels } };
}

function convolve({ x, weight, bias }: Values, { edge, channels }: Sizes, table: SampleTable): Float64Array {
  const dense = toDense(x!, table, edge, channels);
  const y = { ...dense, values: dense.values.map((_, i) => bias![i % channels]!) };
  eachNeighbour(dense, (row, from, tap) => {
    for (let c = 0; c < channels; c++)
      y.values[row * channels + c]! += dense.values[from * channels + c]! * weight![tap * channels + c]!;
  });
  return fromDense(y, table, edge);
}

const tensor = (shape: number[]) => new Tensor('t', shape, 'f32', 'input', false);

export const depthwiseConv3Cases = defineCases<Sizes>({
  op: 'depthwiseConv3',
  samples: [
    sample('sparse, batch 3, edge 4, odd channels', SPARSE, 4, 5),
    sample('one visible brick, one channel', { grid: [3, 3, 3], visible: [[13]] }, 8, 1),
    sample('dense, edge 2', { grid: [1, 2, 2], visible: [[0, 1, 2, 3]] }, 2, 32),
    sample('edge 1', SPARSE, 1, 12),
    sample('edge 16', { grid: [1, 1, 2], visible: [[1]] }, 16, 4),
  ],
  record: (tape, { x, weight, bias }, _, table) => depthwiseConv3(tape, { x: x!, weight: weight!, bias: bias! }, table),
  forward: (inputs, sizes, { table }) => ({ y: convolve(inputs, sizes, table!) }),

  backward({ x, weight }, { edge, channels }, dy, { table }) {
    const dense = toDense(x!, table!, edge, channels);
    const d = toDense(dy, table!, edge, channels);
    const dx = { ...dense, values: new Float64Array(dense.values.length) };
    const dWeight = new Float64Array(27 * channels);
    eachNeighbour(dense, (row, from, tap) => {
      for (let c = 0; c < channels; c++) {
        dx.values[from * channels + c]! += d.values[row * channels + c]! * weight![tap * channels + c]!;
        dWeight[tap * channels + c]! += d.values[row * channels + c]! * dense.values[from * channels + c]!;
      }
    });
    return { x: fromDense(dx, table!, edge), weight: dWeight, bias: columnSums(dy, channels) };
  },

  wrong: [
    {
      name: 'weight of other channels',
      record: (tape, table) =>
        depthwiseConv3(tape, { x: tensor([table.bricks, 8, 3]), weight: tensor([27, 4]), bias: tensor([3]) }, table),
      message: /depthwiseConv3: argument "weight": got \[27, 4\], need \[27, 3\]/,
    },
  ],
});

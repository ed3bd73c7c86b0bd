import { Tensor } from '../tape/tensor.ts';
import { defineCases, type SampleInput, type Values } from '../testing/op-cases.ts';
import { columnSums, eachChild } from '../testing/oracles.ts';
import { transposedConv2 } from './transposed-conv2.ts';

interface Sizes {
  readonly bricks: number;
  readonly edge: number;
  readonly inner: number;
  readonly columns: number;
}

function sample(name: string, bricks: number, edge: number, inner: number, columns: number, bias = true) {
  const inputs: Record<string, SampleInput> = {
    x: { shape: [bricks, edge ** 3, inner] },
    weight: { shape: [inner, 8, columns] },
  };
  if (bias) inputs.bias = { shape: [columns] };
  return { name, inputs, attributes: { bricks, edge, inner, columns } };
}

function forward({ x, weight, bias }: Values, { bricks, edge, inner, columns }: Sizes): Float64Array {
  const y = new Float64Array(bricks * (2 * edge) ** 3 * columns);
  eachChild(bricks, edge, (row, child, tap) => {
    for (let n = 0; n < columns; n++) {
      let sum = bias?.[n] ?? 0;
      for (let k = 0; k < inner; k++) sum += x![row * inner + k]! * weight![(k * 8 + tap) * columns + n]!;
      y[child * columns + n] = sum;
    }
  });
  return y;
}

const tensor = (shape: number[]) => new Tensor('t', shape, 'f32', 'input', false);

export const transposedConv2Cases = defineCases<Sizes>({
  op: 'transposedConv2',
  samples: [
    sample('edge 1 to 2', 5, 1, 12, 12),
    sample('edge 2 to 4, odd channels, no bias', 3, 2, 3, 5, false),
    sample('edge 4 to 8', 2, 4, 8, 6),
    sample('one channel', 1, 2, 1, 1),
  ],
  record: (tape, { x, weight, bias }) => transposedConv2(tape, { x: x!, weight: weight!, bias }, undefined),
  forward: (inputs, sizes) => ({ y: forward(inputs, sizes) }),
  backward({ x, weight, bias }, { bricks, edge, inner, columns }, dy) {
    const dx = new Float64Array(x!.length);
    const dWeight = new Float64Array(weight!.length);
    eachChild(bricks, edge, (row, child, tap) => {
      for (let n = 0; n < columns; n++)
        for (let k = 0; k < inner; k++) {
          const at = (k * 8 + tap) * columns + n;
          dx[row * inner + k]! += dy[child * columns + n]! * weight![at]!;
          dWeight[at]! += dy[child * columns + n]! * x![row * inner + k]!;
        }
    });
    return { x: dx, weight: dWeight, ...(bias && { bias: columnSums(dy, columns) }) };
  },
  wrong: [
    {
      name: 'weight of other channels',
      record: (tape) => transposedConv2(tape, { x: tensor([2, 8, 3]), weight: tensor([4, 8, 5]) }, undefined),
      message: /transposedConv2: argument "weight": got \[4, 8, 5\], need \[3, 8, 5\]/,
    },
  ],
});

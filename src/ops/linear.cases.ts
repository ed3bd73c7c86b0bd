import { Tensor } from '../tape/tensor.ts';
import { defineCases, type SampleInput, type Values } from '../testing/op-cases.ts';
import { columnSums } from '../testing/oracles.ts';
import { linear } from './linear.ts';

function sample(
  name: string,
  lead: number[],
  inner: number,
  columns: number,
  extra: { bias?: boolean; residual?: boolean } = {},
) {
  const inputs: Record<string, SampleInput> = { x: { shape: [...lead, inner] }, weight: { shape: [inner, columns] } };
  if (extra.bias) inputs.bias = { shape: [columns] };
  if (extra.residual) inputs.residual = { shape: [...lead, columns] };
  return { name, inputs, attributes: undefined };
}

function product({ x, weight, bias }: Values, columns: number): Float64Array {
  const inner = weight!.length / columns;
  const rows = x!.length / inner;
  const y = new Float64Array(rows * columns);
  for (let m = 0; m < rows; m++)
    for (let n = 0; n < columns; n++) {
      let sum = bias?.[n] ?? 0;
      for (let k = 0; k < inner; k++) sum += x![m * inner + k]! * weight![k * columns + n]!;
      y[m * columns + n] = sum;
    }
  return y;
}

const tensor = (shape: number[]) => new Tensor('t', shape, 'f32', 'input', false);

export const linearCases = defineCases<undefined>({
  op: 'linear',
  samples: [
    sample('one of everything', [1], 1, 1),
    sample('odd sizes', [5], 3, 7, { bias: true }),
    sample('multiples of four', [2, 16], 8, 12, { bias: true }),
    sample('columns just past a tile', [33], 17, 33, { bias: true, residual: true }),
    sample('many rows', [700], 24, 20, { bias: true }),
    sample('wide and odd', [150], 77, 109, { bias: true }),
    sample('narrower', [70], 40, 21),
    sample('columns of a wide tile', [70], 36, 92),
    sample('columns of a square tile', [70], 68, 60),
    sample('wide, and residual', [40], 64, 36, { bias: true, residual: true }),
  ],
  record: (tape, inputs) => linear(tape, inputs as Parameters<typeof linear>[1], undefined),

  forward(inputs, _, { inputs: { weight } }) {
    return { y: product(inputs, weight!.shape[1]!).map((v, i) => v + (inputs.residual?.[i] ?? 0)) };
  },

  backward(inputs, _, dy, { inputs: { weight } }) {
    const [inner, columns] = weight!.shape as [number, number];
    const dx = new Float64Array(inputs.x!.length);
    const dWeight = new Float64Array(inner * columns);
    for (let m = 0; m < dx.length / inner; m++)
      for (let k = 0; k < inner; k++)
        for (let n = 0; n < columns; n++) {
          dx[m * inner + k]! += dy[m * columns + n]! * inputs.weight![k * columns + n]!;
          dWeight[k * columns + n]! += dy[m * columns + n]! * inputs.x![m * inner + k]!;
        }
    return {
      x: dx,
      weight: dWeight,
      ...(inputs.bias && { bias: columnSums(dy, columns) }),
      ...(inputs.residual && { residual: dy }),
    };
  },

  wrong: [
    {
      name: 'channels of x and weight differ',
      record: (tape) => linear(tape, { x: tensor([2, 3]), weight: tensor([4, 5]) }, undefined),
      message: /linear: argument "weight": got \[4, 5\], need \[3, 5\]/,
    },
    {
      name: 'bias of the wrong length',
      record: (tape) => linear(tape, { x: tensor([2, 4]), weight: tensor([4, 5]), bias: tensor([4]) }, undefined),
      message: /linear: argument "bias": got \[4\], need \[5\]/,
    },
    {
      name: 'integers',
      record: (tape) => linear(tape, { x: tape.input('x', [2, 4], 'u32'), weight: tensor([4, 5]) }, undefined),
      message: /linear: argument "x": got u32, need f32/,
    },
    {
      name: 'residual of another shape',
      record: (tape) =>
        linear(tape, { x: tensor([2, 4]), weight: tensor([4, 5]), residual: tensor([2, 4]) }, undefined),
      message: /"residual": got \[2, 4\], need \[2, 5\]/,
    },
  ],
});

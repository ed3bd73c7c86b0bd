import { Tensor } from '../tape/tensor.ts';
import { defineCases } from '../testing/op-cases.ts';
import { concat } from './concat.ts';

const sample = (name: string, lead: number[], a: number, b: number) => ({
  name,
  inputs: { a: { shape: [...lead, a] }, b: { shape: [...lead, b] } },
  attributes: { a, b },
});

const tensor = (shape: number[]) => new Tensor('t', shape, 'f32', 'input', false);

export const concatCases = defineCases<{ a: number; b: number }>({
  op: 'concat',
  samples: [
    sample('odd', [5, 3], 3, 5),
    sample('equal', [2, 8], 8, 8),
    sample('one channel', [7], 1, 1),
    sample('more rows than threads', [2, 1000], 2, 3),
  ],
  record: (tape, { a, b }) => concat(tape, { a: a!, b: b! }, undefined),
  forward(inputs, { a, b }) {
    const y = new Float64Array(inputs.a!.length + inputs.b!.length);
    y.forEach((_, i) => {
      const [row, c] = [Math.floor(i / (a + b)), i % (a + b)];
      y[i] = c < a ? inputs.a![row * a + c]! : inputs.b![row * b + c - a]!;
    });
    return { y };
  },
  backward: (_, { a, b }, dy) => ({
    a: dy.filter((_, i) => i % (a + b) < a),
    b: dy.filter((_, i) => i % (a + b) >= a),
  }),
  wrong: [
    {
      name: 'other rows',
      record: (tape) => concat(tape, { a: tensor([4, 2]), b: tensor([5, 2]) }, undefined),
      message: /concat: argument "b": got \[5, 2\], need \[4, 2\]/,
    },
  ],
});

/** Cases of add, scale and sum. */

import { Tensor } from '../tape/tensor.ts';
import { defineCases } from '../testing/op-cases.ts';
import { add } from './add.ts';
import { scale } from './scale.ts';
import { sum } from './sum.ts';

const tensor = (shape: number[]) => new Tensor('t', shape, 'f32', 'input', false);

export const addCases = defineCases<undefined>({
  op: 'add',
  samples: [{ name: 'odd size', inputs: { a: { shape: [3, 7] }, b: { shape: [3, 7] } }, attributes: undefined }],
  record: (tape, { a, b }) => add(tape, { a: a!, b: b! }, undefined),
  forward: ({ a, b }) => ({ y: a!.map((v, i) => v + b![i]!) }),
  backward: (_, __, dy) => ({ a: dy, b: dy }),
  wrong: [
    {
      name: 'shapes differ',
      record: (tape) => add(tape, { a: tensor([2, 3]), b: tensor([3, 2]) }, undefined),
      message: /add: argument "b": got \[3, 2\], need \[2, 3\]/,
    },
  ],
});

export const scaleCases = defineCases<number>({
  op: 'scale',
  samples: [{ name: 'by −2.5', inputs: { x: { shape: [5, 13] } }, attributes: -2.5 }],
  record: (tape, { x }, factor) => scale(tape, { x: x! }, { factor }),
  forward: ({ x }, factor) => ({ y: x!.map((v) => v * factor) }),
  backward: (_, factor, dy) => ({ x: dy.map((v) => v * factor) }),
  wrong: [
    {
      name: 'not a number',
      record: (tape) => scale(tape, { x: tensor([2]) }, { factor: Number.NaN }),
      message: /scale: factor: got NaN, need a finite number/,
    },
  ],
});

export const sumCases = defineCases<number>({
  op: 'sum',
  samples: [
    { name: 'one element', inputs: { x: { shape: [1] } }, attributes: 1 },
    { name: 'one pass', inputs: { x: { shape: [17, 61] } }, attributes: 0.5 },
    { name: 'two passes', inputs: { x: { shape: [5003], value: (draw) => draw + 1 } }, attributes: 1 / 5003 },
  ],
  record: (tape, { x }, factor) => sum(tape, { x: x! }, { factor }),
  forward: ({ x }, factor) => ({ y: Float64Array.of(factor * x!.reduce((a, b) => a + b, 0)) }),
  backward: ({ x }, factor, dy) => ({ x: x!.map(() => factor * dy[0]!) }),
  wrong: [
    {
      name: 'integers',
      record: (tape) => sum(tape, { x: tape.input('x', [4], 'u32') }, {}),
      message: /sum: argument "x": got u32, need f32/,
    },
  ],
});

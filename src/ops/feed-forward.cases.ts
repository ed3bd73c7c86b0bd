import { Tensor } from '../tape/tensor.ts';
import { defineCases, type Sample, type Values } from '../testing/op-cases.ts';
import { columnSums, gelu, geluSlope } from '../testing/oracles.ts';
import { feedForward } from './feed-forward.ts';

function sample(name: string, lead: number[], inner: number, hidden: number, columns: number): Sample<undefined> {
  return {
    name,
    inputs: {
      x: { shape: [...lead, inner] },
      weight1: { shape: [inner, hidden] },
      bias1: { shape: [hidden] },
      weight2: { shape: [hidden, columns] },
      bias2: { shape: [columns] },
      residual: { shape: [...lead, columns] },
    },
    attributes: undefined,
  };
}

/** a [rows, inner] times w [inner, columns]. */
function times(a: Float64Array, w: Float64Array, inner: number): Float64Array {
  const columns = w.length / inner;
  const y = new Float64Array((a.length / inner) * columns);
  for (let m = 0; m < a.length / inner; m++)
    for (let k = 0; k < inner; k++)
      for (let n = 0; n < columns; n++) y[m * columns + n]! += a[m * inner + k]! * w[k * columns + n]!;
  return y;
}

function transpose(a: Float64Array, columns: number): Float64Array {
  const rows = a.length / columns;
  return Float64Array.from(a, (_, i) => a[(i % rows) * columns + Math.floor(i / rows)]!);
}

const tensor = (shape: number[]) => new Tensor('t', shape, 'f32', 'input', false);
const good = {
  x: tensor([2, 3]),
  weight1: tensor([3, 8]),
  bias1: tensor([8]),
  weight2: tensor([8, 5]),
  bias2: tensor([5]),
  residual: tensor([2, 5]),
};

/** x W1 + b1 */
function preOf({ x, weight1, bias1 }: Values): Float64Array {
  const inner = weight1!.length / bias1!.length;
  return times(x!, weight1!, inner).map((v, i) => v + bias1![i % bias1!.length]!);
}

export const feedForwardCases = defineCases<undefined>({
  op: 'feedForward',
  samples: [
    sample('one of everything', [1], 1, 1, 1),
    sample('odd sizes', [5], 3, 7, 5),
    sample('multiples of four', [2, 16], 8, 12, 4),
    sample('just past a tile', [33], 17, 33, 9),
    sample('many rows', [700], 6, 24, 6),
  ],
  record: (tape, inputs) => feedForward(tape, inputs as Parameters<typeof feedForward>[1], undefined),

  forward(inputs) {
    const { weight2, bias1, bias2, residual } = inputs;
    const y = times(preOf(inputs).map(gelu), weight2!, bias1!.length);
    return { y: y.map((v, i) => v + bias2![i % bias2!.length]! + residual![i]!) };
  },

  backward(inputs, _, dy) {
    const { x, weight1, bias1, weight2, bias2 } = inputs;
    const [hidden, columns] = [bias1!.length, bias2!.length];
    const pre = preOf(inputs);
    const dPre = times(dy, transpose(weight2!, columns), columns).map((v, i) => v * geluSlope(pre[i]!));
    const inner = weight1!.length / hidden;
    const rows = x!.length / inner;
    return {
      x: times(dPre, transpose(weight1!, hidden), hidden),
      weight1: times(transpose(x!, inner), dPre, rows),
      bias1: columnSums(dPre, hidden),
      weight2: times(transpose(pre.map(gelu), hidden), dy, rows),
      bias2: columnSums(dy, columns),
      residual: dy,
    };
  },

  wrong: [
    {
      name: 'hidden channels differ',
      record: (tape) => feedForward(tape, { ...good, weight2: tensor([7, 5]) }, undefined),
      message: /feedForward: argument "weight2": got \[7, 5\], need \[8, 5\]/,
    },
    {
      name: 'a residual of another shape',
      record: (tape) => feedForward(tape, { ...good, residual: tensor([2, 3]) }, undefined),
      message: /feedForward: argument "residual": got \[2, 3\], need \[2, 5\]/,
    },
    {
      name: 'integers',
      record: (tape) => feedForward(tape, { ...good, x: tape.input('x', [2, 3], 'u32') }, undefined),
      message: /feedForward: argument "x": got u32, need f32/,
    },
  ],
  roundings: () => 2, // the map ahead of GELU and its gradient, or the one behind it
});

import type { Activation } from '../../shaders/activation.wgsl.ts';
import { defineCases } from '../testing/op-cases.ts';
import { gelu, geluSlope } from '../testing/oracles.ts';
import { activation } from './activation.ts';

const VALUES: Record<Activation, { value: (v: number) => number; slope: (v: number) => number }> = {
  gelu: { value: gelu, slope: geluSlope },
  relu: { value: (v) => Math.max(v, 0), slope: (v) => (v > 0 ? 1 : 0) },
  leakyRelu: { value: (v) => (v > 0 ? v : 0.01 * v), slope: (v) => (v > 0 ? 1 : 0.01) },
};

const sample = (kind: Activation) => ({
  name: kind,
  // From −10 to 10 so that the tails are there too.
  inputs: { x: { shape: [3, 67], value: (draw: number, i: number) => draw + (i / 201 - 0.5) * 18 } },
  attributes: kind,
});

export const activationCases = defineCases<Activation>({
  op: 'activation',
  samples: [sample('gelu'), sample('relu'), sample('leakyRelu')],
  record: (tape, { x }, kind) => activation(tape, { x: x! }, kind),
  forward: ({ x }, kind) => ({ y: x!.map(VALUES[kind].value) }),
  backward: ({ x }, kind, dy) => ({ x: dy.map((v, i) => v * VALUES[kind].slope(x![i]!)) }),
  wrong: [
    {
      name: 'integers',
      record: (tape) => activation(tape, { x: tape.input('x', [4], 'u32') }, 'relu'),
      message: /activation: argument "x": got u32, need f32/,
    },
  ],
});

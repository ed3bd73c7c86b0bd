import { describe, expect, test } from 'vitest';
import { compile } from '../tape/plan.ts';
import { Tape } from '../tape/tape.ts';
import { Variables } from '../tape/variables.ts';
import { testDevice } from '../testing/device.ts';
import { compare, draw } from '../testing/run-cases.ts';
import { adamw, adamwSchedule, gradientNorm, keepGradients } from './adamw.ts';
import { add } from './add.ts';
import { scale } from './scale.ts';
import { sum } from './sum.ts';

const SIZES = [300, 1, 257, 64, 5000];

/** The rule of golden/README.md as a float64 loop. */
function reference(
  p: Float64Array[],
  g: Float64Array[],
  m: Float64Array[],
  v: Float64Array[],
  t: number,
  lr: number,
  wd: number,
  clip: number,
) {
  const norm = Math.sqrt(g.flatMap((list) => [...list]).reduce((s, x) => s + x * x, 0));
  const factor = Math.min(1, clip / (norm + 1e-6));
  p.forEach((list, n) => {
    list.forEach((_, i) => {
      const gradient = g[n]![i]! * factor;
      list[i]! -= lr * wd * list[i]!;
      m[n]![i] = 0.9 * m[n]![i]! + 0.1 * gradient;
      v[n]![i] = 0.999 * v[n]![i]! + 0.001 * gradient * gradient;
      list[i]! -= ((lr / (1 - 0.9 ** t)) * m[n]![i]!) / (Math.sqrt(v[n]![i]!) / Math.sqrt(1 - 0.999 ** t) + 1e-8);
    });
  });
  return norm;
}

describe('AdamW over flat chunks', () => {
  test.each([
    ['one chunk', 2 ** 27],
    ['several chunks', 20480],
  ])('equals the float64 loop over 6 steps, clipped and not: %s', async (_, maxBindingBytes) => {
    const device = await testDevice();
    const variables = new Variables(maxBindingBytes);
    const parameters = SIZES.map((n, i) => variables.parameter(`p${i}`, [n]));
    const tape = new Tape(device.report);
    const schedule = tape.input('schedule', [4]);
    const chunks = variables.chunks();
    const norm = tape.report(gradientNorm(tape, chunks, 5));
    adamw(tape, chunks, norm, schedule);
    await variables.allocate(device, true);
    const plan = await compile(device, tape, variables);
    const p = SIZES.map((n, i) => draw(`p${i}`, n));
    const m = SIZES.map((n) => new Float64Array(n));
    const v = SIZES.map((n) => new Float64Array(n));
    parameters.forEach((parameter, i) => {
      variables.write(parameter, Float32Array.from(p[i]!));
    });
    for (let t = 1; t <= 6; t++) {
      const g = SIZES.map((n, i) => draw(`g${i} ${t}`, n).map((x) => Math.fround(x * (t % 2 ? 0.01 : 1))));
      parameters.forEach((parameter, i) => {
        variables.write(variables.gradientOf(parameter), Float32Array.from(g[i]!));
      });
      plan.write(schedule, adamwSchedule(t, 1e-2 / t, 0.04 * t));
      const [reported] = await plan.step();
      const expected = reference(p, g, m, v, t, 1e-2 / t, 0.04 * t, 5);
      compare('norm', reported!, Float64Array.of(expected, Math.min(1, 5 / (expected + 1e-6))), 1e-6);
    }
    for (const [i, parameter] of parameters.entries()) {
      compare(`p${i}`, await variables.read(parameter), p[i]!, 2e-6);
      const { firstMoment, secondMoment } = variables.momentsOf(parameter);
      compare(`m${i}`, await variables.read(firstMoment), m[i]!, 2e-6);
      compare(`v${i}`, await variables.read(secondMoment), v[i]!, 2e-6);
    }
    plan.destroy();
    variables.destroy();
  });

  test('refuses to clip at zero', () => {
    expect(() => gradientNorm(new Tape(), [], 0)).toThrow(/gradientNorm: clip: got 0/);
  });
});

describe('keeping gradients', () => {
  /** loss = Σ (2 a + b): a's gradient is its own tensor, b's is shared with the sum's. */
  async function gradients(accumulated: boolean) {
    const device = await testDevice();
    const variables = new Variables();
    const [a, b] = [variables.parameter('a', [70]), variables.parameter('b', [70])];
    const tape = new Tape(device.report);
    const keep = accumulated ? tape.input('keep', [1]) : undefined;
    const twice = scale(tape, { x: a }, { factor: 2 });
    const loss = sum(tape, { x: add(tape, { a: twice, b }, undefined) }, { factor: 3 });
    keepGradients(tape, tape.backward(loss), variables, keep);
    await variables.allocate(device, true);
    const plan = await compile(device, tape, variables);
    const read = async () => {
      const values = [await variables.read(variables.gradientOf(a)), await variables.read(variables.gradientOf(b))];
      return values.map((list) => [...new Set(list)]);
    };
    return { plan, keep, read };
  }

  test('puts every gradient in its place, shared ones too', async () => {
    const { plan, read } = await gradients(false);
    await plan.step();
    expect(await read()).toEqual([[6], [3]]);
    await plan.step(); // not added to what was there
    expect(await read()).toEqual([[6], [3]]);
  });

  test('adds micro-batches up, from zero in each step', async () => {
    const { plan, keep, read } = await gradients(true);
    plan.write(keep!, Float32Array.of(0));
    await plan.step();
    plan.write(keep!, Float32Array.of(1));
    await plan.step();
    expect(await read()).toEqual([[12], [6]]);
    plan.write(keep!, Float32Array.of(0));
    await plan.step();
    expect(await read()).toEqual([[6], [3]]);
  });
});

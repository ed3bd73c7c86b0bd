import { describe, expect, test } from 'vitest';
import { compile } from '../tape/plan.ts';
import { Tape } from '../tape/tape.ts';
import type { Tensor } from '../tape/tensor.ts';
import { Variables } from '../tape/variables.ts';
import { testDevice } from '../testing/device.ts';
import { compare, draw } from '../testing/run-cases.ts';
import { activation } from './activation.ts';
import { adamw, adamwSchedule, gradientNorm, keepGradients } from './adamw.ts';
import { add } from './add.ts';
import { layerNorm } from './layer-norm.ts';
import { linear } from './linear.ts';
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

  /** Each loss with its parameters' gradients; p and q are [600, 4], others [4]. */
  const SHARING: Record<
    string,
    [loss: (tape: Tape, of: Record<'p' | 'q' | 'gamma' | 'b' | 'c', Tensor>) => Tensor, object]
  > = {
    'a sum’s': [(tape, { p, q }) => add(tape, { a: p, b: q }, undefined), { p: 3, q: 3 }],
    'one alone, twice': [(tape, { p }) => add(tape, { a: p, b: p }, undefined), { p: 6 }],
    'a sum’s, and again': [
      (tape, { p, q }) => add(tape, { a: add(tape, { a: p, b: q }, undefined), b: p }, undefined),
      { p: 6, q: 3 },
    ],
    'partial sums': [
      (tape, { p, gamma, b, c }) =>
        layerNorm(tape, { x: p, gamma, beta: add(tape, { a: b, b: c }, undefined) }, { epsilon: 1e-5 }),
      { b: 1800, c: 1800 },
    ],
  };

  test.each(Object.entries(SHARING))('which parameters share: %s', async (_, [record, expected]) => {
    const device = await testDevice();
    for (const accumulated of [false, true]) {
      const variables = new Variables();
      const [p, q] = ['p', 'q'].map((name) => variables.parameter(name, [600, 4])) as [Tensor, Tensor];
      const [gamma, b, c] = ['gamma', 'b', 'c'].map((name) => variables.parameter(name, [4])) as [
        Tensor,
        Tensor,
        Tensor,
      ];
      const tape = new Tape(device.report);
      const keep = accumulated ? tape.input('keep', [1]) : undefined;
      const gradients = tape.backward(sum(tape, { x: record(tape, { p, q, gamma, b, c }) }, { factor: 3 }));
      keepGradients(tape, gradients, variables, keep);
      await variables.allocate(device, true);
      const plan = await compile(device, tape, variables);
      plan.fillActivations();
      await plan.step();
      const found: Record<string, number> = {};
      for (const parameter of gradients.keys()) {
        const values = new Set(await variables.read(variables.gradientOf(parameter)));
        if (values.size === 1) found[parameter.name] = [...values][0]!;
      }
      expect(found).toMatchObject(expected);
      plan.destroy();
      variables.destroy();
    }
  });

  /** Gradients that end in partial sums: norms and linear layers over many rows, in several chunks. */
  async function sums(accumulated: boolean, together: boolean) {
    const device = await testDevice();
    const variables = new Variables(4096); // a binding's size, so several chunks
    const tape = new Tape(device.report);
    const keep = accumulated ? tape.input('keep', [1]) : undefined;
    let y = tape.input('x', [600, 20]);
    for (let layer = 0; layer < 3; layer++) {
      const [gamma, beta] = ['gamma', 'beta'].map((name) => variables.parameter(`${name}${layer}`, [20])) as [
        Tensor,
        Tensor,
      ];
      y = layerNorm(tape, { x: y, gamma, beta }, { epsilon: 1e-5 });
      const [weight, bias] = [variables.parameter(`w${layer}`, [20, 20]), variables.parameter(`b${layer}`, [20])];
      y = linear(tape, { x: y, weight, bias }, undefined);
    }
    const gradients = tape.backward(sum(tape, { x: activation(tape, { x: y }, 'gelu') }, { factor: 1 / y.size }));
    if (!together) for (const gradient of gradients.values()) tape.output(gradient);
    keepGradients(tape, gradients, variables, keep);
    await variables.allocate(device, true);
    const plan = await compile(device, tape, variables);
    for (const p of variables.parameters) variables.write(p, Float32Array.from(draw(p.name, p.size)));
    plan.write(tape.inputs.find(({ name }) => name === 'x')!, Float32Array.from(draw('x', 12000)));
    plan.fillActivations();
    const step = async (kept: number) => {
      if (keep) plan.write(keep, Float32Array.of(kept));
      await plan.step();
      return Promise.all(variables.parameters.map((p) => variables.read(variables.gradientOf(p))));
    };
    const launches = tape.dispatches.filter(({ kernel }) => kernel.id.startsWith('sum-gradients')).length;
    return { step, launches, chunks: variables.chunks().length };
  }

  test('adds partial sums up in one launch a chunk, to the same bits as one by one', async () => {
    const [together, alone] = [await sums(false, true), await sums(false, false)];
    expect(together.launches).toBe(together.chunks);
    expect(together.chunks).toBeGreaterThan(1);
    expect(alone.launches).toBe(0);
    const found = await together.step(0);
    expect(found).toEqual(await alone.step(0));
    expect(found.flatMap((list) => [...list]).every((v) => Number.isFinite(v) && v !== 0)).toBe(true);
    expect(await together.step(0)).toEqual(found); // not added to what was there
  });

  test('adds micro-batches of partial sums up', async () => {
    const plain = await (await sums(false, true)).step(0);
    const { step } = await sums(true, true);
    expect(await step(0)).toEqual(plain);
    expect(await step(1)).toEqual(plain.map((list) => list.map((v) => v + v)));
    expect(await step(0)).toEqual(plain);
  });
});

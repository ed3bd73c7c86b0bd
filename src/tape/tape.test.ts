import { describe, expect, test } from 'vitest';
import { elementwise } from '../../shaders/lib/kernel.ts';
import { BrickGrid } from '../bricks/grid.ts';
import { brickTable } from '../bricks/table.ts';
import { add } from '../ops/add.ts';
import { gatherBricks } from '../ops/gather-bricks.ts';
import { linear } from '../ops/linear.ts';
import { scale } from '../ops/scale.ts';
import { sum } from '../ops/sum.ts';
import { defineOp, foldWorkgroups } from './op.ts';
import { Tape } from './tape.ts';
import { Tensor } from './tensor.ts';
import { Variables } from './variables.ts';

describe('backward', () => {
  test('adds the gradients of a tensor that is used twice', () => {
    const tape = new Tape();
    const variables = new Variables();
    const w = variables.parameter('w', [3]);
    const both = add(tape, { a: scale(tape, { x: w }, { factor: 2 }), b: w }, undefined);
    const gradients = tape.backward(sum(tape, { x: both }, {}));
    expect([...gradients.keys()]).toEqual([w]);
    expect(tape.dispatches.filter((d) => d.backward && d.kernel.id === 'add')).toHaveLength(1);
  });

  test('records no gradient of inputs, nor of parameters that the loss does not depend on', () => {
    const tape = new Tape();
    const variables = new Variables();
    const x = tape.input('x', [4, 3]);
    const used = variables.parameter('used', [3, 2]);
    const idle = variables.parameter('idle', [3, 2]);
    linear(tape, { x, weight: idle }, undefined);
    const loss = sum(tape, { x: linear(tape, { x, weight: used }, undefined) }, {});
    const forward = tape.dispatches.length;
    expect([...tape.backward(loss).keys()]).toEqual([used]);
    const labels = tape.dispatches.slice(forward).map((d) => d.kernel.id);
    expect(labels.some((id) => id.startsWith('product'))).toBe(false);
  });

  test('reads a constant, and records nothing for it', () => {
    const tape = new Tape();
    const variables = new Variables();
    const x = tape.input('x', [4, 3]);
    const weight = variables.parameter('weight', [3, 2]);
    const bias = variables.parameter('bias', [2]);
    const loss = sum(tape, { x: linear(tape, { x, weight, bias: bias.constant() }, undefined) }, {});
    expect(tape.dispatches.some(({ tensors }) => tensors.some(({ home }) => home === bias))).toBe(true);
    const forward = tape.dispatches.length;
    expect([...tape.backward(loss).keys()]).toEqual([weight]);
    const labels = tape.dispatches.slice(forward).map((d) => d.kernel.id);
    expect(labels.some((id) => id.startsWith('column-'))).toBe(false);
  });

  test('refuses a loss that is not one number, and an op that has no gradient', () => {
    const tape = new Tape();
    const w = new Variables().parameter('w', [4]);
    expect(() => tape.backward(scale(tape, { x: w }, { factor: 1 }))).toThrow(
      /argument "loss": got \[4\], need one element/,
    );
    const table = brickTable(tape, 't', new BrickGrid(1, 1, 1), 1, 1);
    const volume = new Tensor('volume', [1, 2, 2, 2], 'f32', 'parameter', true);
    const bricks = gatherBricks(tape, { volume }, { table, edge: 2 });
    expect(() => tape.backward(sum(tape, { x: bricks }, {}))).toThrow(
      /backward through gatherBricks: got its input is the scan/,
    );
  });

  test('refuses a gradient of the wrong shape', () => {
    const wrong = defineOp({
      name: 'wrong',
      infer: (_: { x: Tensor }, __: undefined) => [1],
      forward: () => undefined,
      backward: (recorder) => ({ x: recorder.tensor('dx', [5]) }),
    });
    const tape = new Tape();
    const x = new Variables().parameter('x', [4]);
    expect(() => tape.backward(wrong(tape, { x }, undefined))).toThrow(/gradient of "x": got \[5\], need \[4\]/);
  });
});

test('scopes label what is recorded', () => {
  const tape = new Tape();
  const w = new Variables().parameter('w', [4]);
  const loss = tape.scope('stage1', () => tape.scope('norm', () => sum(tape, { x: w }, {})));
  tape.backward(loss);
  expect(tape.dispatches.map((d) => d.label)).toEqual(['stage1/norm/sum', 'dloss', 'stage1/norm/dsum']);
});

test('launches past 65535 workgroups are folded, and cover every thread', () => {
  expect(foldWorkgroups(1, 64)).toEqual([1, 1, 1]);
  expect(foldWorkgroups(65535 * 64, 64)).toEqual([65535, 1, 1]);
  const [x, y] = foldWorkgroups(65535 * 64 + 1, 64);
  expect(x).toBeLessThanOrEqual(65535);
  expect(x * y * 64).toBeGreaterThanOrEqual(65535 * 64 + 1);
});

test('variables refuse a name twice, and a declaration after use', () => {
  const variables = new Variables();
  variables.parameter('w', [2]);
  expect(() => variables.state('w', [2])).toThrow(/"w": got a name already taken/);
  variables.chunks();
  expect(() => variables.parameter('v', [2])).toThrow(/variables already in use/);
});

test('tensors refuse empty and fractional shapes', () => {
  expect(() => new Tape().input('x', [0, 3])).toThrow(/Tensor "x": got \[0, 3\], need positive sizes/);
  expect(() => new Tape().input('x', [1.5])).toThrow(/need positive sizes/);
});

test('an elementwise kernel refuses a variable that has no value to begin with: its threads take several turns', () => {
  expect(() => elementwise('var sums: array<f32, 27>; y[i] = sums[0];')).toThrow(/needs a value to begin with/);
  expect(elementwise('var sums = array<f32, 27>(); var n: u32 = 1u;')).toContain('sums');
});

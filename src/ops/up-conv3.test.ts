/** The one map against the two ops that it replaces, forward and backward; and when it is less work. */

import { describe, expect, test } from 'vitest';
import { BrickGrid } from '../bricks/grid.ts';
import { allVisible } from '../bricks/mask.ts';
import { brickTable, brickTableData, writeBrickTable } from '../bricks/table.ts';
import { compile } from '../tape/plan.ts';
import { Tape } from '../tape/tape.ts';
import type { Tensor } from '../tape/tensor.ts';
import { Variables } from '../tape/variables.ts';
import { testDevice } from '../testing/device.ts';
import { compare, draw } from '../testing/run-cases.ts';
import { conv3 } from './conv3.ts';
import { probe } from './probe.ts';
import { transposedConv2 } from './transposed-conv2.ts';
import { composingPays, upConv3 } from './up-conv3.ts';

/** y and every gradient, by name, of the map recorded one way. */
async function results(edge: number, composed: boolean): Promise<Map<string, Float32Array>> {
  const [inner, middle, columns, batch] = [10, 6, 9, 2];
  const device = await testDevice();
  const tape = new Tape(device.report);
  const variables = new Variables(device.limits.maxStorageBufferBindingSize);
  const grid = new BrickGrid(2, 1, 2);
  const table = brickTable(tape, 'all', grid, batch, grid.cells);
  const x = variables.parameter('x', [table.bricks, edge ** 3, inner]);
  const up = { weight: variables.parameter('W1', [inner, 8, middle]), bias: variables.parameter('b1', [middle]) };
  const conv = { weight: variables.parameter('W2', [27, middle, columns]), bias: variables.parameter('b2', [columns]) };
  const y = composed
    ? upConv3(tape, { x, upWeight: up.weight, upBias: up.bias, ...conv }, { table })
    : conv3(tape, { x: transposedConv2(tape, { x, ...up }, undefined), ...conv }, table);
  const dy = tape.input('dy', y.shape);
  const outputs = new Map<string, Tensor>([['y', y]]);
  for (const [{ name }, gradient] of tape.backward(probe(tape, { y }, dy))) outputs.set(`d ${name}`, gradient);
  for (const tensor of outputs.values()) tape.output(tensor);
  await variables.allocate(device, false);
  const plan = await compile(device, tape, variables);
  writeBrickTable(plan, table, brickTableData(grid, allVisible(batch, grid.cells)));
  plan.write(dy, Float32Array.from(draw(`dy ${edge}`, dy.size)));
  for (const p of variables.parameters) variables.write(p, Float32Array.from(draw(`${p.name} ${edge}`, p.size)));
  await plan.step();
  const found = new Map<string, Float32Array>();
  for (const [name, tensor] of outputs) found.set(name, await plan.read(tensor));
  plan.destroy();
  variables.destroy();
  return found;
}

test.each([1, 2, 4])('equals the transposed convolution and the convolution, edge %d', async (edge) => {
  const plain = await results(edge, false);
  const composed = await results(edge, true);
  expect([...composed.keys()].sort()).toEqual(['d W1', 'd W2', 'd b1', 'd b2', 'd x', 'y']);
  for (const [name, values] of plain) compare(name, composed.get(name)!, Float64Array.from(values), 1e-5);
});

describe('composing', () => {
  const sizes = (channels: number, edge: number, bricks: number) => ({
    inner: channels,
    middle: channels,
    columns: channels / 2,
    rows: bricks * edge ** 3,
  });

  test.each([
    ['tiny, 24³ to 48³', sizes(12, 8, 27), true],
    ['tiny, 12³ to 24³', sizes(24, 4, 27), true],
    ['tiny, 3³ to 6³', sizes(96, 1, 27), false],
    ['base, 48³ to 96³', sizes(96, 8, 216), true],
    ['base, 12³ to 24³', sizes(384, 2, 216), true],
    ['base, 6³ to 12³', sizes(768, 1, 216), false],
  ])('pays where the map outweighs its weights: %s', (_, size, pays) => {
    expect(composingPays(size)).toBe(pays);
  });
});

/** Winograd's algorithm against the sum over taps where the op cases are too small: more rows than one chunk has. */

import { expect, test } from 'vitest';
import { BrickGrid } from '../bricks/grid.ts';
import { allVisible } from '../bricks/mask.ts';
import { brickTable, brickTableData, writeBrickTable } from '../bricks/table.ts';
import { compile } from '../tape/plan.ts';
import { Tape } from '../tape/tape.ts';
import { Variables } from '../tape/variables.ts';
import { testDevice } from '../testing/device.ts';
import { compare, draw } from '../testing/run-cases.ts';
import { conv3 } from './conv3.ts';
import { probe } from './probe.ts';
import { winogradConv3 } from './winograd-conv3.ts';

async function results(op: typeof conv3, [inner, columns]: readonly [number, number]) {
  const device = await testDevice();
  const tape = new Tape(device.report);
  const variables = new Variables(device.limits.maxStorageBufferBindingSize);
  const grid = new BrickGrid(2, 2, 1);
  const table = brickTable(tape, 'all', grid, 1, grid.cells);
  const x = variables.parameter('x', [grid.cells, 16 ** 3, inner]);
  const inputs = { x, weight: variables.parameter('weight', [27, inner, columns]) };
  const y = tape.output(op(tape, inputs, table));
  const dy = tape.input('dy', y.shape);
  const gradients = [...tape.backward(probe(tape, { y }, dy))];
  const outputs = [['y', y] as const, ...gradients.map(([{ name }, gradient]) => [name, gradient] as const)];
  for (const [, tensor] of outputs) tape.output(tensor);
  await variables.allocate(device, false);
  const plan = await compile(device, tape, variables);
  plan.fillActivations();
  writeBrickTable(plan, table, brickTableData(grid, allVisible(1, grid.cells)));
  plan.write(dy, Float32Array.from(draw('dy', dy.size)));
  for (const p of variables.parameters) variables.write(p, Float32Array.from(draw(p.name, p.size)));
  await plan.step();
  const values = await Promise.all(outputs.map(async ([name, tensor]) => [name, await plan.read(tensor)] as const));
  plan.destroy();
  variables.destroy();
  const transforms = tape.dispatches.filter(({ kernel }) => kernel.id === 'winograd-input').length;
  return { values: new Map(values), transforms };
}

test.each([
  [2, 300],
  [300, 2],
] as const)('in three chunks, of unequal size: %i to %i channels', async (inner, columns) => {
  const direct = await results(conv3, [inner, columns]);
  const winograd = await results(winogradConv3, [inner, columns]);
  expect([direct.transforms, winograd.transforms]).toEqual([0, 3 * 3]); // y, dx and dWeight
  expect([...winograd.values.keys()].sort()).toEqual(['weight', 'x', 'y']);
  for (const [name, values] of direct.values)
    compare(name, winograd.values.get(name)!, Float64Array.from(values), 1e-5);
});

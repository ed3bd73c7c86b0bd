/** Winograd's algorithm in chunks, against the sum over taps. The op cases have all of their tiles in one. */

import { expect, test } from 'vitest';
import type { Tile } from '../../shaders/lib/winograd.ts';
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

const [INNER, COLUMNS] = [6, 20];

/** @param most bytes of a binding, as far as the op knows. Without a tile the direct one's. */
async function results(edge: number, most: number, tile?: Tile) {
  const device = await testDevice();
  const tape = new Tape({ ...device.report, limits: { ...device.limits, maxStorageBufferBindingSize: most } });
  const variables = new Variables(device.limits.maxStorageBufferBindingSize);
  const grid = new BrickGrid(2, 2, 1);
  const table = brickTable(tape, 'all', grid, 1, grid.cells);
  const x = variables.parameter('x', [grid.cells, edge ** 3, INNER]);
  const inputs = { x, weight: variables.parameter('weight', [27, INNER, COLUMNS]) };
  const y = tape.output(tile ? winogradConv3(tape, inputs, { table, tile }) : conv3(tape, inputs, table));
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
  const transforms = tape.dispatches.filter(({ kernel }) => kernel.id.startsWith('winograd-input'));
  return { values: new Map(values), rows: transforms.map(({ launch }) => launch.uniforms!.rows) };
}

test.each([
  // 4 bricks of 16 tiles with 144 points of 20 channels, 4 bytes each
  { tile: [2, 4, 4], edge: 8, most: 144 * 22 * COLUMNS * 4, chunks: [22, 22, 20] },
  // 4 bricks of one tile with 64 points
  { tile: [2, 2, 2], edge: 2, most: 64 * 3 * COLUMNS * 4, chunks: [2, 2] },
] as const)('equals the direct one, tiles of $tile in bricks of edge $edge', async ({ tile, edge, most, chunks }) => {
  const direct = await results(edge, most);
  const winograd = await results(edge, most, tile);
  expect(direct.rows).toEqual([]);
  expect(winograd.rows).toEqual([chunks, chunks].flat()); // of x, and of dy for both gradients
  expect([...winograd.values.keys()].sort()).toEqual(['weight', 'x', 'y']);
  for (const [name, values] of direct.values)
    compare(name, winograd.values.get(name)!, Float64Array.from(values), 1e-5);
});

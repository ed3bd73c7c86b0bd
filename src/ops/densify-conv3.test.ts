/** The saving against the plain path: densify, then the convolution on all bricks. */

import { expect, test } from 'vitest';
import { BrickGrid } from '../bricks/grid.ts';
import { allVisible, randomMasks, visibleCount } from '../bricks/mask.ts';
import { brickTable, brickTableData, writeBrickTable } from '../bricks/table.ts';
import type { Device } from '../gpu/device.ts';
import { Random } from '../random.ts';
import { compile } from '../tape/plan.ts';
import { Tape } from '../tape/tape.ts';
import { Variables } from '../tape/variables.ts';
import { testDevice } from '../testing/device.ts';
import { compare, draw } from '../testing/run-cases.ts';
import { conv3 } from './conv3.ts';
import { densify } from './densify.ts';
import { densifyConv3 } from './densify-conv3.ts';
import { probe } from './probe.ts';

interface Drawn {
  readonly seed: number;
  readonly grid: BrickGrid;
  readonly batch: number;
  readonly edge: number;
  readonly inner: number;
  readonly columns: number;
  readonly ratio: number;
}

function drawn(seed: number): Drawn {
  const random = Random.of(seed, 'densify parity');
  const from = (i: number, least: number, most: number) => least + random.int(i, most - least + 1);
  return {
    seed,
    grid: new BrickGrid(from(0, 2, 3), from(1, 2, 3), from(2, 2, 4)),
    batch: from(3, 1, 2),
    edge: [2, 4, 8][seed % 3]!,
    inner: from(4, 1, 20),
    columns: from(5, 1, 20),
    ratio: [0.25, 0.5, 0.75, 0.85][from(6, 0, 3)]!,
  };
}

/** y and the four gradients by name. */
async function run(device: Device, d: Drawn, saves: boolean): Promise<Map<string, Float32Array>> {
  const { seed, grid, batch, edge, inner, columns, ratio } = d;
  const tape = new Tape(device.report);
  const variables = new Variables(device.limits.maxStorageBufferBindingSize);
  const visible = brickTable(tape, 'visible', grid, batch, visibleCount(grid.cells, ratio));
  const all = brickTable(tape, 'all', grid, batch, grid.cells);
  const x = variables.parameter('x', [visible.bricks, edge ** 3, inner]);
  const token = variables.parameter('token', [inner]);
  const weight = variables.parameter('weight', [27, inner, columns]);
  const bias = variables.parameter('bias', [columns]);
  const y = saves
    ? densifyConv3(tape, { x, token, weight, bias }, { visible, all })
    : conv3(tape, { x: densify(tape, { x, token }, visible), weight, bias }, all);
  const dy = tape.input('dy', y.shape);
  const gradients = [...tape.backward(probe(tape, { y }, dy))].map(([p, g]) => [`d ${p.name}`, g] as const);
  const results = [['y', y] as const, ...gradients];
  for (const [, tensor] of results) tape.output(tensor);
  await variables.allocate(device, false);
  const plan = await compile(device, tape, variables);
  plan.fillActivations();
  writeBrickTable(plan, visible, brickTableData(grid, randomMasks(seed, 0, batch, grid.cells, ratio)));
  writeBrickTable(plan, all, brickTableData(grid, allVisible(batch, grid.cells)));
  const values = (name: string, size: number) => Float32Array.from(draw(`parity ${seed} ${name}`, size));
  for (const tensor of [x, token, weight, bias]) variables.write(tensor, values(tensor.name, tensor.size));
  plan.write(dy, values('dy', dy.size));
  await plan.step();
  const read = new Map<string, Float32Array>();
  for (const [name, tensor] of results) read.set(name, await plan.read(tensor));
  plan.destroy();
  variables.destroy();
  return read;
}

test.each([1, 2, 3, 4, 5, 6])('equals densify and conv3, random configuration %i', async (seed) => {
  const device = await testDevice();
  const configuration = drawn(seed);
  const plain = await run(device, configuration, false);
  const saving = await run(device, configuration, true);
  expect([...saving.keys()].sort()).toEqual(['d bias', 'd token', 'd weight', 'd x', 'y']);
  expect(plain.size).toBe(5);
  for (const [name, values] of plain) {
    const where = `${name} of ${JSON.stringify(configuration)}`;
    compare(where, saving.get(name)!, Float64Array.from(values), 2e-5); // two roundings, one of each path
  }
});

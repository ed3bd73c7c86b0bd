/**
 * A value that is used again later: ops add the gradient of the later use in their own kernels (`gradientSoFar`). A GPU's are left to Node and Deno, as
 * in `ops-targets.test.ts`.
 */

import { afterAll, beforeAll, expect, test } from 'vitest';
import { BrickGrid } from '../bricks/grid.ts';
import { allVisible } from '../bricks/mask.ts';
import { type BrickTable, brickTable, brickTableData, writeBrickTable } from '../bricks/table.ts';
import { runtimeName } from '../gpu/adapter.ts';
import type { Device } from '../gpu/device.ts';
import { compile } from '../tape/plan.ts';
import { Tape } from '../tape/tape.ts';
import type { Tensor } from '../tape/tensor.ts';
import { Variables } from '../tape/variables.ts';
import { testDevice } from '../testing/device.ts';
import { compare, draw } from '../testing/run-cases.ts';
import { add } from './add.ts';
import { conv3 } from './conv3.ts';
import { depthwiseConv3 } from './depthwise-conv3.ts';
import { layerNorm } from './layer-norm.ts';
import { linear } from './linear.ts';
import { maxPool } from './max-pool.ts';
import { probe } from './probe.ts';
import { scale } from './scale.ts';
import { winogradConv3 } from './winograd-conv3.ts';

const CHANNELS = 6;
const EDGE = 4;

type Record = (tape: Tape, x: Tensor, parameter: (shape: number[]) => Tensor, table: BrickTable) => Tensor;

const OPS: { [name: string]: Record } = {
  conv3: (tape, x, p, table) => conv3(tape, { x, weight: p([27, CHANNELS, 4]) }, table),
  depthwiseConv3: (tape, x, p, table) =>
    depthwiseConv3(tape, { x, weight: p([27, CHANNELS]), bias: p([CHANNELS]) }, table),
  layerNorm: (tape, x, p) => layerNorm(tape, { x, gamma: p([CHANNELS]), beta: p([CHANNELS]) }, { epsilon: 1e-5 }),
  linear: (tape, x, p) => linear(tape, { x, weight: p([CHANNELS, 5]) }, undefined),
  maxPool: (tape, x) => maxPool(tape, { x }, undefined),
  winogradConv3: (tape, x, p, table) =>
    winogradConv3(tape, { x, weight: p([27, CHANNELS, 4]) }, { table, tile: [2, 4, 4] }),
};

let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.check());

/** Gradient of x where y = op(2x), and, `again`, 2x is used once more after the op. */
async function gradientOf(
  record: Record,
  again: boolean,
  target = device.report,
): Promise<{ dx: Float32Array; launches: number }> {
  const tape = new Tape(target);
  const variables = new Variables();
  const grid = new BrickGrid(2, 1, 1);
  const table = brickTable(tape, 'all', grid, 1, grid.cells);
  const x = variables.parameter('x', [grid.cells, EDGE ** 3, CHANNELS]);
  let count = 0;
  const y2 = scale(tape, { x }, { factor: 2 });
  const y = record(tape, y2, (shape) => variables.parameter(`p${count++}`, shape), table);
  const [dy, dz] = [tape.input('dy', y.shape), tape.input('dz', x.shape)];
  const first = probe(tape, { y }, dy);
  const loss = again
    ? add(tape, { a: first, b: probe(tape, { y: scale(tape, { x: y2 }, { factor: 3 }) }, dz) }, undefined)
    : first;
  const dx = tape.output(tape.backward(loss).get(x)!);
  await variables.allocate(device, false);
  for (const p of variables.parameters) variables.write(p, Float32Array.from(draw(p.name, p.size)));
  const plan = await compile(device, tape, variables);
  try {
    writeBrickTable(plan, table, brickTableData(grid, allVisible(1, grid.cells)));
    plan.write(dy, Float32Array.from(draw('dy', dy.size)));
    plan.write(dz, Float32Array.from(draw('dz', dz.size)));
    plan.fillActivations();
    await plan.step();
    return { dx: await plan.read(dx), launches: tape.dispatches.filter(({ kernel }) => kernel.id === 'add').length };
  } finally {
    plan.destroy();
    variables.destroy();
  }
}

const KERNELS = runtimeName() === 'browser' ? ['its own'] : ['its own', 'a GPU’s'];

for (const [name, record] of Object.entries(OPS)) {
  for (const kernels of KERNELS) {
    test(`${name}, by ${kernels} kernels`, async () => {
      const target = kernels === 'its own' ? device.report : { ...device.report, class: 'gpu' as const };
      const alone = await gradientOf(record, false, target);
      const twice = await gradientOf(record, true, target);
      // y2 = 2x, and the later use is 3 · y2.
      const later = draw('dz', alone.dx.length);
      const expected = Float64Array.from(alone.dx, (v, i) => v + 6 * later[i]!);
      compare('gradient', twice.dx, expected, 1e-6);
      expect(twice.launches).toBe(1); // the losses' sum alone
    });
  }
}

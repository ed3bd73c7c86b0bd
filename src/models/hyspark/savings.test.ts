/** The exact savings change how the network is computed, not what: loss and gradients with and without them. */

import { expect, test } from 'vitest';
import { allVisible, randomMasks } from '../../bricks/mask.ts';
import { brickTableData, writeBrickTable } from '../../bricks/table.ts';
import type { Device } from '../../gpu/device.ts';
import { Declarations } from '../../nn/declare.ts';
import { compile } from '../../tape/plan.ts';
import { Tape } from '../../tape/tape.ts';
import { Variables } from '../../tape/variables.ts';
import { testDevice } from '../../testing/device.ts';
import { smallModel } from '../../testing/hyspark.ts';
import { compare, draw } from '../../testing/run-cases.ts';
import { PRESETS } from './config.ts';
import { allSavings, HySparK, type Savings } from './hyspark.ts';

const BATCH = 2;

/**
 * Far from every ReLU's kink: on either side of it, rounding would decide, and one voxel's decision shows in a gradient. The max
 * poolings stand ahead of what is saved and see the same values.
 */
function smooth({ declare }: HySparK): void {
  for (const { name, tensor } of declare.specs.values()) {
    const part = /^(?:decoder|fuse)\..*norm\d\.(weight|bias)$/.exec(name)?.[1];
    if (part && tensor)
      declare.variables.write(tensor, new Float32Array(tensor.size).fill(part === 'bias' ? 1.5 : 0.2));
  }
}

async function run(device: Device, model: HySparK, savings: Savings) {
  const tape = new Tape(device.report);
  const graph = model.graph(tape, { batch: BATCH, training: true, savings });
  tape.report(graph.loss);
  const gradients = tape.backward(graph.loss);
  for (const gradient of gradients.values()) tape.output(gradient);
  const plan = await compile(device, tape, model.declare.variables);
  const { grid, config } = model;
  writeBrickTable(plan, graph.visible, brickTableData(grid, randomMasks(1, 0, BATCH, grid.cells, config.maskRatio)));
  writeBrickTable(plan, graph.all, brickTableData(grid, allVisible(BATCH, grid.cells)));
  plan.write(graph.volume, Float32Array.from(draw('volume', graph.volume.size), Math.abs));
  const [loss] = await plan.step();
  const values = new Map<string, Float32Array>([['loss', loss!]]);
  for (const [parameter, gradient] of gradients) values.set(parameter.name, await plan.read(gradient));
  plan.destroy();
  const kernels = new Set(tape.dispatches.map(({ kernel }) => kernel.id));
  return { values, kernels, ops: new Set(tape.dispatches.map(({ label }) => label.replace(/.*\//, ''))) };
}

test.each([
  ['densify', 'densifyConv3'],
  ['upConv', 'upConv3'],
  ['winograd', 'winogradConv3'],
] as const)('%s', async (saving, op) => {
  const device = await testDevice();
  const model = await smallModel(device, 3);
  smooth(model);
  const plain = await run(device, model, allSavings(false));
  const saved = await run(device, model, { ...allSavings(false), [saving]: true });
  expect(plain.ops.has(op)).toBe(false);
  expect(saved.ops.has(op)).toBe(true);
  expect([...saved.values.keys()].sort()).toEqual([...plain.values.keys()].sort());
  for (const [name, values] of plain.values) {
    compare(name, saved.values.get(name)!, Float64Array.from(values), name === 'loss' ? 1e-5 : 1e-3);
  }
  model.declare.variables.destroy();
});

test('all of them, by Winograd’s algorithm', async () => {
  const device = await testDevice();
  const model = await smallModel(device, 3);
  smooth(model);
  const plain = await run(device, model, allSavings(false));
  const saved = await run(device, model, allSavings(true));
  for (const kernel of [/^winograd-input/, /^winograd-up-output/, /^winograd-output.*borders=true/]) {
    const isOf = ({ kernels }: typeof plain) => [...kernels].some((id) => kernel.test(id));
    expect([isOf(plain), isOf(saved)]).toEqual([false, true]);
  }
  for (const [name, values] of plain.values) {
    compare(name, saved.values.get(name)!, Float64Array.from(values), name === 'loss' ? 1e-5 : 1e-3);
  }
  model.declare.variables.destroy();
});

test('with none, no part of the network takes one, wherever it would pay', () => {
  const opsOf = (savings?: Savings) => {
    const model = new HySparK(new Declarations(new Variables()), PRESETS.base);
    const tape = new Tape({ class: 'gpu', subgroupSize: 32, limits: { maxStorageBufferBindingSize: 2 ** 31 } });
    model.graph(tape, { batch: 1, training: true, savings });
    const saved = ['densifyConv3', 'upConv3', 'winogradConv3'].map(
      (op) => tape.ops.filter(({ name }) => name === op).length,
    );
    // Of kinds of convolutions those by Winograd's algorithm: what they gather points by.
    const ids = [/^winograd-input/, /^winograd-up-input/];
    return { saved, winograd: ids.map((id) => tape.dispatches.filter(({ kernel }) => id.test(kernel.id)).length) };
  };
  const all = opsOf();
  expect(Math.min(...all.saved)).toBeGreaterThanOrEqual(3);
  expect(Math.min(...all.winograd)).toBeGreaterThanOrEqual(2);
  expect(opsOf(allSavings(false))).toEqual({ saved: [0, 0, 0], winograd: [0, 0] });
  const direct = opsOf({ winograd: false });
  expect(direct).toEqual({ saved: [all.saved[0], all.saved[1], 0], winograd: [0, 0] });
});

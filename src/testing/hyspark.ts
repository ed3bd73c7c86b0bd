/** A small HySparK network, ready to train: for tests. Inputs and masks follow from the step number. */

import { allVisible, randomMasks } from '../bricks/mask.ts';
import { brickTableData, writeBrickTable } from '../bricks/table.ts';
import type { Device } from '../gpu/device.ts';
import type { HySparkConfig } from '../models/hyspark/config.ts';
import { HySparK } from '../models/hyspark/hyspark.ts';
import { Declarations } from '../nn/declare.ts';
import { adamw, adamwSchedule, gradientNorm, keepGradients } from '../ops/adamw.ts';
import { compile } from '../tape/plan.ts';
import { Tape } from '../tape/tape.ts';
import { Variables } from '../tape/variables.ts';
import { draw } from './run-cases.ts';

export const SMALL: HySparkConfig = {
  crop: 32,
  channels: [2, 3, 4, 5, 6],
  blocks: [1, 1, 2, 1, 1],
  expansion: [2, 2, 3, 1, 2],
  vitDepth: 2,
  heads: 2,
  width: 16,
  maskRatio: 0.75,
};

/** A model with memory on the device, its weights drawn from the seed. */
export async function smallModel(device: Device, seed: number, config = SMALL): Promise<HySparK> {
  const variables = new Variables(device.limits.maxStorageBufferBindingSize);
  const model = new HySparK(new Declarations(variables), config);
  await variables.allocate(device, true);
  model.declare.initialise(seed);
  return model;
}

/** A function that trains one step and gives its loss; call `destroy` when done. */
export async function trainer(device: Device, model: HySparK, batch = 2) {
  const { variables } = model.declare;
  const tape = new Tape(device.report);
  const graph = model.graph(tape, { batch, training: true });
  const schedule = tape.input('schedule', [4]);
  tape.report(graph.loss);
  keepGradients(tape, tape.backward(graph.loss), variables);
  const chunks = variables.chunks();
  adamw(tape, chunks, gradientNorm(tape, chunks, 5), schedule);
  const plan = await compile(device, tape, variables);
  return {
    async train(step: number): Promise<number> {
      const { grid, config } = model;
      const masks = randomMasks(1, step, batch, grid.cells, config.maskRatio);
      writeBrickTable(plan, graph.visible, brickTableData(grid, masks));
      writeBrickTable(plan, graph.all, brickTableData(grid, allVisible(batch, grid.cells)));
      plan.write(graph.volume, Float32Array.from(draw(`volume ${step}`, graph.volume.size), Math.abs));
      plan.write(schedule, adamwSchedule(step + 1, 1e-3, 0.04));
      const [loss] = await plan.step();
      return loss![0]!;
    },
    destroy: () => plan.destroy(),
  };
}

/** A small network on a sparse table: enough layers for tests of the tape and the plan. Not a model of the product. */

import { BrickGrid } from '../bricks/grid.ts';
import { randomMasks } from '../bricks/mask.ts';
import { type BrickTable, brickTable, brickTableData, writeBrickTable } from '../bricks/table.ts';
import { activation } from '../ops/activation.ts';
import { adamw, adamwSchedule, gradientNorm, keepGradients } from '../ops/adamw.ts';
import { add } from '../ops/add.ts';
import { conv3 } from '../ops/conv3.ts';
import { linear } from '../ops/linear.ts';
import { sum } from '../ops/sum.ts';
import type { Target } from '../tape/op.ts';
import type { Plan } from '../tape/plan.ts';
import { Tape } from '../tape/tape.ts';
import type { Tensor } from '../tape/tensor.ts';
import { Variables } from '../tape/variables.ts';
import { draw } from './run-cases.ts';

export interface SmallNetwork {
  readonly tape: Tape;
  readonly variables: Variables;
  readonly table: BrickTable;
  readonly x: Tensor;
  readonly schedule: Tensor;
  readonly loss: Tensor;
}

const GRID = new BrickGrid(2, 2, 2);
const CHANNELS = 8;
const EDGE = 4;

/** Residual blocks conv3 → linear (GELU) → linear, marked recomputable; loss is the mean of the last ReLU; AdamW ends the tape. */
export function smallNetwork(target: Target, blocks = 3, batch = 2): SmallNetwork {
  const tape = new Tape(target);
  const variables = new Variables();
  const table = brickTable(tape, 'visible', GRID, batch, 3);
  const x = tape.input('x', [table.bricks, EDGE ** 3, CHANNELS]);
  const schedule = tape.input('schedule', [4]);
  const weight = (name: string, shape: number[]) => variables.parameter(name, shape);
  let y = x;
  for (let b = 0; b < blocks; b++) {
    y = tape.scope(`block${b}`, () =>
      tape.recomputable(() => {
        const input = y;
        const bias = weight(`conv${b}.bias`, [CHANNELS]);
        const mixed = conv3(tape, { x: input, weight: weight(`conv${b}`, [27, CHANNELS, CHANNELS]), bias }, table);
        const up = linear(tape, { x: mixed, weight: weight(`up${b}`, [CHANNELS, 4 * CHANNELS]) }, undefined);
        const wide = activation(tape, { x: up }, 'gelu');
        const residual = b === 0 ? undefined : input;
        return linear(tape, { x: wide, weight: weight(`down${b}`, [4 * CHANNELS, CHANNELS]), residual }, undefined);
      }),
    );
  }
  const squashed = add(tape, { a: activation(tape, { x: y }, 'relu'), b: y }, undefined);
  const loss = tape.report(sum(tape, { x: squashed }, { factor: 1 / squashed.size }));
  keepGradients(tape, tape.backward(loss), variables);
  const chunks = variables.chunks();
  adamw(tape, chunks, gradientNorm(tape, chunks, 5), schedule);
  return { tape, variables, table, x, schedule, loss };
}

/** Uploads what one step needs; everything follows from the step number. */
export function writeStep(plan: Plan, network: SmallNetwork, step: number): void {
  const { table } = network;
  writeBrickTable(plan, table, brickTableData(GRID, randomMasks(1, step, table.batch, GRID.cells, 5 / 8)));
  plan.write(network.x, Float32Array.from(draw(`x ${step % 3}`, network.x.size)));
  plan.write(network.schedule, adamwSchedule(step + 1, 1e-3, 0.04));
}

export function initialise({ variables }: SmallNetwork): void {
  for (const parameter of variables.parameters) {
    variables.write(
      parameter,
      Float32Array.from(draw(parameter.name, parameter.size), (v) => 0.1 * v),
    );
  }
}

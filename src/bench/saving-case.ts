/**
 * Measuring a saving: a map computed in two ways, as the reference does and with fewer operations, in turns in one run. Results and
 * gradients of both are compared before anything is timed.
 */

import { BrickGrid } from '../bricks/grid.ts';
import { allVisible, randomMasks, visibleCount } from '../bricks/mask.ts';
import { type BrickTable, brickTable, brickTableData, writeBrickTable } from '../bricks/table.ts';
import type { Device } from '../gpu/device.ts';
import { probe } from '../ops/probe.ts';
import { Random } from '../random.ts';
import { compile, type Plan } from '../tape/plan.ts';
import { Tape } from '../tape/tape.ts';
import type { Shape, Tensor } from '../tape/tensor.ts';
import { Variables } from '../tape/variables.ts';
import { mustBeClose } from './benchmark.ts';

/** What a case is recorded with. */
export interface Setting {
  readonly tape: Tape;
  readonly all: BrickTable;
  readonly visible: BrickTable;
  parameter(name: string, shape: Shape): Tensor;
}

export interface SavingCase {
  readonly name: string;
  /** Bricks along each axis. */
  readonly bricks: number;
  /** Records the map, plainly or saving. Both have the same parameters. */
  record(setting: Setting, saving: boolean): Tensor;
}

const MASK_RATIO = 0.75;

interface Built {
  readonly plan: Plan;
  readonly variables: Variables;
  /** The map and its gradients by name. */
  readonly results: ReadonlyMap<string, Tensor>;
}

async function build(device: Device, c: SavingCase, saving: boolean): Promise<Built> {
  const tape = new Tape(device.report);
  const variables = new Variables(device.limits.maxStorageBufferBindingSize);
  const grid = new BrickGrid(c.bricks, c.bricks, c.bricks);
  const all = brickTable(tape, 'all', grid, 1, grid.cells);
  const visible = brickTable(tape, 'visible', grid, 1, visibleCount(grid.cells, MASK_RATIO));
  const parameter = (name: string, shape: Shape) => variables.parameter(name, shape);
  const y = tape.output(c.record({ tape, all, visible, parameter }, saving));
  const dy = tape.input('dy', y.shape);
  const gradients = tape.backward(probe(tape, { y }, dy));
  const results = new Map([['y', y]]);
  for (const [{ name }, gradient] of gradients) results.set(`gradient of ${name}`, tape.output(gradient));
  await variables.allocate(device, false);
  const plan = await compile(device, tape, variables);
  writeBrickTable(plan, all, brickTableData(grid, allVisible(1, grid.cells)));
  writeBrickTable(plan, visible, brickTableData(grid, randomMasks(0, 0, 1, grid.cells, MASK_RATIO)));
  for (const tensor of variables.parameters) variables.write(tensor, values(tensor));
  plan.write(dy, values(dy));
  return { plan, variables, results };
}

function values(tensor: Tensor): Float32Array {
  const random = Random.of('bench', tensor.name);
  return Float32Array.from({ length: tensor.size }, (_, i) => 2 * random.uniform(i) - 1);
}

/** Both ways must give the same but for rounding: in L2, 10⁻⁵ of the tensor. */
async function check(c: SavingCase, plain: Built, saving: Built): Promise<void> {
  for (const [name, tensor] of plain.results) {
    const other = saving.results.get(name);
    const [a, b] = [await plain.plan.read(tensor), other && (await saving.plan.read(other))];
    let [difference, size] = [b?.length === a.length ? 0 : Number.NaN, 0];
    a.forEach((value, i) => {
      difference += (value - b![i]!) ** 2;
      size += value ** 2;
    });
    mustBeClose(`${c.name}: ${name}`, Math.sqrt(difference / size), 1e-5);
  }
}

/** Milliseconds of one profiled run, by pass and kernel. */
async function times(plan: Plan): Promise<Map<string, number>> {
  const found = new Map<string, number>();
  const add = (key: string, ms: number) => found.set(key, (found.get(key) ?? 0) + ms);
  for (const { dispatch, nanoseconds } of await plan.profile()) {
    if (dispatch.kernel.id === 'fill') continue;
    const pass = dispatch.backward ? 'backward' : 'forward';
    add(pass, nanoseconds / 1e6);
    add('both', nanoseconds / 1e6);
    add(`${pass} ${dispatch.kernel.id}`, nanoseconds / 1e6);
  }
  return found;
}

/** Generous: a GPU that was idle takes up to half a second of work to reach its clock. */
const WARM_UP_MILLISECONDS = 1000;

async function reachClock(device: Device, plan: Plan): Promise<void> {
  if (device.report.class !== 'gpu') return;
  const deadline = performance.now() + WARM_UP_MILLISECONDS;
  while (performance.now() < deadline) await plan.time(1);
}

/** Milliseconds of both ways, measured in turns, by pass (`forward`, `backward`, `both`) and by pass and kernel. */
export interface SavingTimes {
  readonly plain: readonly ReadonlyMap<string, number>[];
  readonly saving: readonly ReadonlyMap<string, number>[];
}

/** Compares both ways, then measures them `repeats` times. */
export async function timeSaving(device: Device, c: SavingCase, repeats: number): Promise<SavingTimes> {
  const plain = await build(device, c, false);
  const saving = await build(device, c, true);
  try {
    for (const { plan } of [plain, saving]) await plan.step();
    await check(c, plain, saving);
    await reachClock(device, plain.plan);
    const measured = { plain: [] as Map<string, number>[], saving: [] as Map<string, number>[] };
    for (let i = 0; i < repeats; i++) {
      measured.plain.push(await times(plain.plan));
      measured.saving.push(await times(saving.plan));
    }
    return measured;
  } finally {
    for (const b of [plain, saving]) {
      b.plan.destroy();
      b.variables.destroy();
    }
  }
}

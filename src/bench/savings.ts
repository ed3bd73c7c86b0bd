/**
 * The savings benchmark: maps that are computed in two ways, as the reference does and with fewer operations, in one run. Results and
 * gradients of both are compared before anything is timed.
 */

import { fillKernel } from '../../shaders/elementwise.wgsl.ts';
import { BrickGrid } from '../bricks/grid.ts';
import { allVisible, randomMasks, visibleCount } from '../bricks/mask.ts';
import { type BrickTable, brickTable, brickTableData, writeBrickTable } from '../bricks/table.ts';
import { HysparkError } from '../errors.ts';
import type { Device } from '../gpu/device.ts';
import { conv3 } from '../ops/conv3.ts';
import { transposedConv2 } from '../ops/transposed-conv2.ts';
import { upConv3 } from '../ops/up-conv3.ts';
import { Random } from '../random.ts';
import { defineOp } from '../tape/op.ts';
import { compile, type Plan } from '../tape/plan.ts';
import { Tape } from '../tape/tape.ts';
import type { Shape, Tensor } from '../tape/tensor.ts';
import { Variables } from '../tape/variables.ts';
import { type Spread, spread } from './statistics.ts';

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

export const MASK_RATIO = 0.75;

/** An up block's first half at a crop of 48³, or of 96³ with six bricks an axis: coarse edge, channels before and after. */
function upConvCase(bricks: number, edge: number, inner: number, columns: number): SavingCase {
  const size = bricks * edge;
  return {
    name: `upConv ${inner}→${inner}→${columns} at ${size}³→${2 * size}³`,
    bricks,
    record({ tape, all, parameter }, saving) {
      const x = parameter('x', [all.bricks, edge ** 3, inner]);
      const [upWeight, upBias] = [parameter('upWeight', [inner, 8, inner]), parameter('upBias', [inner])];
      const [weight, bias] = [parameter('weight', [27, inner, columns]), parameter('bias', [columns])];
      if (saving) return upConv3(tape, { x, upWeight, upBias, weight, bias }, all);
      const fine = transposedConv2(tape, { x, weight: upWeight, bias: upBias }, undefined);
      return conv3(tape, { x: fine, weight, bias }, all);
    },
  };
}

/** The decoder of the `tiny` preset, finest first; then wider layers, where composing the weights weighs more. */
export const SAVING_CASES: readonly SavingCase[] = [
  upConvCase(3, 8, 12, 6),
  upConvCase(3, 4, 24, 12),
  upConvCase(3, 2, 48, 24),
  upConvCase(3, 1, 96, 48),
  upConvCase(6, 1, 96, 48),
];

export interface SavingRow {
  readonly case: string;
  /** Milliseconds of the forward pass and of forward and backward, plain and saving. */
  readonly forward: readonly [plain: Spread, saving: Spread];
  readonly total: readonly [plain: Spread, saving: Spread];
  /** Plain ÷ saving, medians. */
  readonly forwardSpeedup: number;
  readonly totalSpeedup: number;
  /** Of the saving way, milliseconds by kernel, medians, largest first. */
  readonly kernels: readonly (readonly [name: string, milliseconds: number])[];
}

/** Gives the map a gradient to go back with. */
const seed = defineOp({
  name: 'seed',
  infer: (_: { y: Tensor }, __: Tensor) => [1],
  forward(recorder, _, __, y) {
    recorder.dispatch(fillKernel(), { y }, { uniforms: { count: 1, value: 0 }, workgroups: [1, 1, 1] });
  },
  backward: (_recorder, { attributes: dy }) => ({ y: dy }),
});

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
  const gradients = tape.backward(seed(tape, { y }, dy));
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
    const relative = Math.sqrt(difference / size);
    if (!(relative <= 1e-5)) {
      throw new HysparkError('gpu-validation', {
        doing: `Checking ${c.name}: ${name}`,
        got: `a relative difference of ${relative}`,
        need: 'at most 1e-5',
      });
    }
  }
}

interface Times {
  readonly forward: number;
  readonly total: number;
  readonly kernels: ReadonlyMap<string, number>;
}

/** Milliseconds of one profiled run. */
async function times(plan: Plan): Promise<Times> {
  let [forward, total] = [0, 0];
  const kernels = new Map<string, number>();
  for (const { dispatch, nanoseconds } of await plan.profile()) {
    const name = `${dispatch.backward ? 'backward ' : ''}${dispatch.kernel.id}`;
    kernels.set(name, (kernels.get(name) ?? 0) + nanoseconds / 1e6);
    total += nanoseconds / 1e6;
    if (!dispatch.backward) forward += nanoseconds / 1e6;
  }
  return { forward, total, kernels };
}

/** Measures one case: both ways in turns, `repeats` times each. */
export async function benchSaving(device: Device, c: SavingCase, repeats: number): Promise<SavingRow> {
  const plain = await build(device, c, false);
  const saving = await build(device, c, true);
  try {
    for (const { plan } of [plain, saving]) await plan.step();
    await check(c, plain, saving);
    const measured: [Times[], Times[]] = [[], []];
    for (let i = 0; i < repeats; i++) {
      measured[0].push(await times(plain.plan));
      measured[1].push(await times(saving.plan));
    }
    const both = (pick: (t: Times) => number) =>
      measured.map((list) => spread(list.map(pick))) as unknown as readonly [Spread, Spread];
    const [forward, total] = [both((t) => t.forward), both((t) => t.total)];
    const kernels = [...measured[1][0]!.kernels.keys()]
      .map((name) => [name, spread(measured[1].map((t) => t.kernels.get(name)!)).median] as const)
      .sort((a, b) => b[1] - a[1]);
    const speedup = ([a, b]: readonly [Spread, Spread]) => a.median / b.median;
    return {
      case: c.name,
      forward,
      total,
      forwardSpeedup: speedup(forward),
      totalSpeedup: speedup(total),
      kernels,
    };
  } finally {
    for (const b of [plain, saving]) {
      b.plan.destroy();
      b.variables.destroy();
    }
  }
}

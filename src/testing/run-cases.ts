/** The one runner for all op cases. Throws with what differed; a test only has to call it. */

import { BrickGrid } from '../bricks/grid.ts';
import { allVisible } from '../bricks/mask.ts';
import { brickTable, brickTableData, writeBrickTable } from '../bricks/table.ts';
import type { Device } from '../gpu/device.ts';
import { probe } from '../ops/probe.ts';
import { scale } from '../ops/scale.ts';
import { Random } from '../random.ts';
import { roundToHalf } from '../tape/half.ts';
import type { Target } from '../tape/op.ts';
import { compile, type Plan } from '../tape/plan.ts';
import { Tape } from '../tape/tape.ts';
import { type Precision, sizeOf, type Tensor } from '../tape/tensor.ts';
import { Variables } from '../tape/variables.ts';
import type { OpCases, Sample, Values } from './op-cases.ts';

const USUAL = { forward: 1e-5, backward: 1e-5 };

/** Inputs that are feature maps, by the names that ops give them: a mixed tape stores them as f16. */
const MAPS = ['x', 'a', 'b', 'residual', 'qkv', 'prediction'];
const mapsOf = ({ inputs }: { readonly inputs: object }) => Object.keys(inputs).filter((name) => MAPS.includes(name));
/** Whether mixed precision changes how the op's inputs are stored. */
export const hasMaps = (cases: OpCases<never>) => cases.samples.some((sample) => mapsOf(sample).length > 0);
/** f16 rounds to 11 significant bits: by at most this share of a number. */
const HALF_ROUNDING = 2 ** -11;

/** The op and its gradients on a tape of their own. On a mixed one its maps are stored as f16 first (`stored`). */
export function recordSample<A>(
  cases: OpCases<A>,
  sample: Sample<A>,
  target: Target,
  variables = new Variables(),
  precision: Precision = 'float32',
) {
  const tape = new Tape(target, precision);
  const maps = precision === 'mixed' ? mapsOf(sample) : [];
  const tensors: Record<string, Tensor> = {};
  for (const [name, { shape, role = 'parameter', dtype }] of Object.entries(sample.inputs)) {
    if (role === 'parameter') tensors[name] = variables.parameter(name, shape);
    else tensors[name] = role === 'state' ? variables.state(name, shape) : tape.input(name, shape, dtype);
  }
  const { table, all, write } = declareTables(tape, sample);
  const stored = Object.fromEntries(maps.map((name) => [name, scale(tape, { x: tensors[name]! }, { factor: 1 })]));
  const y = tape.output(cases.record(tape, { ...tensors, ...stored }, sample.attributes, table, all));
  const dy = tape.input('dy', y.shape);
  const gradients = cases.backward ? tape.backward(probe(tape, { y }, dy)) : new Map<Tensor, Tensor>();
  for (const gradient of gradients.values()) tape.output(gradient);
  return { tape, tensors, stored, write, y, dy, gradients };
}

export interface RunOptions {
  /** The adapter whose kernels are chosen; the device's own by default. */
  readonly target?: Target;
  readonly precision?: Precision;
  readonly tolerance?: { readonly forward: number; readonly backward: number };
}

/**
 * Every check on one sample: forward, gradients, states, determinism, on memory that was filled with NaN. The second of the two runs whose
 * bits are compared is cut into as many submissions and slices of launches as it can be.
 *
 * On a `mixed` tape the loop starts from maps and a dy that f16 holds, so what a kernel reads is exact. A result or gradient that is stored
 * as f16 may differ by one rounding more than in f32, and what is computed from a map between (`roundings`) by that map's.
 */
export async function runSample<A>(
  device: Device,
  cases: OpCases<A>,
  sample: Sample<A>,
  { target = device.report, precision = 'float32', tolerance = cases.tolerance ?? USUAL }: RunOptions = {},
): Promise<void> {
  const isMixed = precision === 'mixed';
  const variables = new Variables(device.limits.maxStorageBufferBindingSize);
  const recorded = recordSample(cases, sample, target, variables, precision);
  const { tape, tensors, stored, write, y, dy, gradients } = recorded;
  const values = drawInputs(cases.op, sample);
  for (const name of Object.keys(stored)) Object.assign(values, { [name]: values[name]!.map(roundToHalf) });
  await variables.allocate(device, false);
  const plans = [await compile(device, tape, variables), await compile(device, tape, variables, { mostFlops: 1 })];
  try {
    const drawn = draw(`${cases.op}/${sample.name}/dy`, y.size);
    const dyValues = isMixed ? drawn.map(roundToHalf) : drawn;
    const run = async (plan: Plan) => {
      plan.write(dy, Float32Array.from(dyValues));
      write(plan);
      for (const [name, tensor] of Object.entries(tensors)) {
        const data = Float32Array.from(values[name]!);
        if (tensor.kind === 'input') plan.write(tensor, tensor.dtype === 'u32' ? Uint32Array.from(data) : data);
        else variables.write(tensor, data);
      }
      plan.fillActivations();
      await plan.step();
      const states = Object.keys(sample.inputs).filter((name) => sample.inputs[name]!.role === 'state');
      // All at once: Deno looks for what has come every ten milliseconds.
      const reads: readonly (readonly [string, Promise<Float32Array>])[] = [
        ['y', plan.read(y)],
        ...[...gradients].map(([{ name }, gradient]) => [`d ${name}`, plan.read(gradient)] as const),
        ...states.map((name) => [`state ${name}`, variables.read(tensors[name]!)] as const),
      ];
      return Object.fromEntries(await Promise.all(reads.map(async ([name, read]) => [name, await read] as const)));
    };
    const first = await run(plans[0]!);
    const second = await run(plans[1]!);
    const expected = cases.forward(values, sample.attributes, sample);
    const between = isMixed ? (cases.roundings?.(sample.attributes) ?? 0) * HALF_ROUNDING : 0;
    const ofStorage = (tensor: Tensor) => between + (tensor.storage === 'f16' ? HALF_ROUNDING : 0);
    compare('y', first.y!, expected.y, tolerance.forward + ofStorage(y));
    for (const [name, state] of Object.entries(expected.states ?? {})) {
      compare(`state ${name}`, first[`state ${name}`]!, state, tolerance.forward);
    }
    if (cases.backward) {
      const expectedGradients = cases.backward(values, sample.attributes, dyValues, sample);
      for (const [name, gradient] of Object.entries(expectedGradients)) {
        const most = tolerance.backward + ofStorage(stored[name] ?? tensors[name]!);
        compare(`gradient of ${name}`, first[`d ${name}`] ?? new Float32Array(0), gradient, most);
      }
    }
    for (const [name, result] of Object.entries(first)) {
      const again = new Uint32Array(second[name]!.buffer);
      const differs = new Uint32Array(result.buffer).findIndex((bits, i) => bits !== again[i]);
      if (differs >= 0) throw new Error(`${name}: two runs differ at element ${differs}`);
    }
    device.check();
  } finally {
    for (const plan of plans) plan.destroy();
    variables.destroy();
  }
}

/** The float64 loop's own gradients against central differences along a random direction for each parameter. */
export function checkOracle<A>(cases: OpCases<A>, sample: Sample<A>): void {
  if (!cases.backward || cases.kinked) return;
  const values = drawInputs(cases.op, sample);
  const { y } = cases.forward(values, sample.attributes, sample);
  const dy = draw(`${cases.op}/${sample.name}/dy`, y.length);
  const gradients = cases.backward(values, sample.attributes, dy, sample);
  for (const [name, { role = 'parameter' }] of Object.entries(sample.inputs)) {
    if (role !== 'parameter') continue;
    const gradient = gradients[name];
    if (!gradient) throw new Error(`the loop gives no gradient of ${name}`);
    const direction = draw(`${cases.op}/${sample.name}/direction ${name}`, gradient.length);
    const along = (h: number) => {
      const moved = values[name]!.map((v, i) => v + h * direction[i]!);
      return dot(cases.forward({ ...values, [name]: moved }, sample.attributes, sample).y, dy);
    };
    const h = 1e-6;
    const difference = (along(h) - along(-h)) / (2 * h);
    const slope = dot(gradient, direction);
    const size = Math.sqrt(dot(gradient, gradient) * dot(direction, direction)) + 1e-6;
    if (!(Math.abs(difference - slope) <= 1e-4 * size)) {
      throw new Error(`loop's gradient of ${name}: ${slope} along a direction, central difference ${difference}`);
    }
  }
}

/** Every wrong input throws at record time with its message. */
export function checkWrong<A>(cases: OpCases<A>): void {
  const withTable = cases.samples.find((s) => s.table);
  for (const { name, record, message } of cases.wrong ?? []) {
    const tape = new Tape();
    const { table, all } = declareTables(tape, withTable ?? cases.samples[0]!);
    let thrown: unknown;
    try {
      record(tape, table, all);
    } catch (error) {
      thrown = error;
    }
    if (!(thrown instanceof Error) || !message.test(thrown.message)) {
      throw new Error(`${cases.op}, ${name}: expected ${message}, got ${thrown ?? 'no error'}`);
    }
    if (tape.dispatches.length > 0) throw new Error(`${cases.op}, ${name}: recorded launches before it threw`);
  }
}

function declareTables<A>(tape: Tape, { table: sample }: Sample<A>) {
  const grid = new BrickGrid(...(sample?.grid ?? [1, 1, 1]));
  const visible = (sample?.visible ?? [[0]]).map((list) => Uint32Array.from(list));
  const batch = visible.length;
  const table = brickTable(tape, 'table', grid, batch, visible[0]!.length);
  const all = brickTable(tape, 'all', grid, batch, grid.cells);
  const write = (plan: Plan) => {
    writeBrickTable(plan, table, brickTableData(grid, visible));
    writeBrickTable(plan, all, brickTableData(grid, allVisible(batch, grid.cells)));
  };
  return { table, all, write };
}

/** Standard normal numbers, rounded to float32 so that the GPU starts from the same values. */
export function draw(name: string, count: number): Float64Array {
  const random = Random.of(7, name);
  return Float64Array.from({ length: count }, (_, i) => Math.fround(random.normal(i)));
}

function drawInputs<A>(op: string, sample: Sample<A>): Values {
  const entries = Object.entries(sample.inputs).map(([name, { shape, value }]) => {
    const drawn = draw(`${op}/${sample.name}/${name}`, sizeOf(shape));
    return [name, value ? drawn.map((v, i) => Math.fround(value(v, i))) : drawn] as const;
  });
  return Object.fromEntries(entries);
}

function dot(a: Float64Array, b: Float64Array): number {
  return a.reduce((sum, v, i) => sum + v * b[i]!, 0);
}

/** Throws unless the largest difference is at most `tolerance` times the largest expected magnitude. */
export function compare(what: string, got: Float32Array, expected: Float64Array, tolerance: number): void {
  if (got.length !== expected.length) throw new Error(`${what}: ${got.length} values, expected ${expected.length}`);
  const largest = expected.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
  let worst = 0;
  let at = 0;
  for (let i = 0; i < got.length; i++) {
    const difference = Math.abs(got[i]! - expected[i]!);
    if (!(difference <= worst)) {
      worst = difference;
      at = i;
      if (Number.isNaN(difference)) break;
    }
  }
  if (!(worst <= tolerance * Math.max(largest, 1e-30))) {
    throw new Error(
      `${what}: element ${at} is ${got[at]}, expected ${expected[at]} (difference ${worst}, largest value ${largest}, tolerance ${tolerance})`,
    );
  }
}

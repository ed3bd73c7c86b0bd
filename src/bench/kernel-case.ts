/**
 * A product of the network's kinds, ready to be timed: built for one target's kernels, its results compared with a float64 loop over the
 * definition.
 */

import { BrickGrid } from '../bricks/grid.ts';
import { allVisible } from '../bricks/mask.ts';
import { brickTable, brickTableData, writeBrickTable } from '../bricks/table.ts';
import type { Device } from '../gpu/device.ts';
import { conv3 } from '../ops/conv3.ts';
import { ROUNDED_TO_F16 } from '../ops/gemm-matrices.ts';
import { productQuestions } from '../ops/gemm-tuning.ts';
import { linear } from '../ops/linear.ts';
import { probe } from '../ops/probe.ts';
import { tune } from '../ops/tuner.ts';
import { Random } from '../random.ts';
import type { Target } from '../tape/op.ts';
import { compile, type Plan } from '../tape/plan.ts';
import { Tape } from '../tape/tape.ts';
import type { Tensor } from '../tape/tensor.ts';
import { Variables } from '../tape/variables.ts';
import { mustBeClose } from './benchmark.ts';

/** A product to measure: a matrix product [M, K] · [K, N], or a 3³ convolution on a cube of bricks. */
export type KernelCase =
  | { readonly kind: 'matmul'; readonly rows: number; readonly inner: number; readonly columns: number }
  | {
      readonly kind: 'conv3';
      readonly size: number;
      readonly edge: number;
      readonly inner: number;
      readonly columns: number;
    };

export type Role = 'forward' | 'input gradient' | 'weight gradient';
/** A timed row of launches takes at least this long; by the clock longer, so that the submission's share is small. */
const TIMED_MILLISECONDS = { stamped: 3, clocked: 50 };

/** A benchmark may take its time: every candidate is to be measured. */
const TUNING_MILLISECONDS = 20_000;

export const ROLES: readonly Role[] = ['forward', 'input gradient', 'weight gradient'];

export function caseName(c: KernelCase): string {
  if (c.kind === 'matmul') return `matmul ${c.rows}×${c.inner}×${c.columns}`;
  return `conv3 ${c.inner}→${c.columns} at ${c.size}³ (bricks of ${c.edge}³)`;
}

interface Built {
  readonly plan: Plan;
  readonly x: Tensor;
  readonly weight: Tensor;
  readonly dy: Tensor;
  readonly y: Tensor;
  readonly dx: Tensor;
  readonly dWeight: Tensor;
  readonly variables: Variables;
}

function record(device: Device, c: KernelCase, target: Target) {
  const tape = new Tape(target);
  const variables = new Variables(device.limits.maxStorageBufferBindingSize);
  const isMatmul = c.kind === 'matmul';
  const grid = isMatmul ? new BrickGrid(1, 1, 1) : new BrickGrid(c.size / c.edge, c.size / c.edge, c.size / c.edge);
  const table = brickTable(tape, 'all', grid, 1, grid.cells);
  const xShape = isMatmul ? [c.rows, c.inner] : [grid.cells, c.edge ** 3, c.inner];
  const x = variables.parameter('x', xShape);
  const weight = variables.parameter('weight', isMatmul ? [c.inner, c.columns] : [27, c.inner, c.columns]);
  const y = tape.output(isMatmul ? linear(tape, { x, weight }, undefined) : conv3(tape, { x, weight }, table));
  const dy = tape.input('dy', y.shape);
  const gradients = tape.backward(probe(tape, { y }, dy));
  const [dx, dWeight] = [tape.output(gradients.get(x)!), tape.output(gradients.get(weight)!)];
  return { tape, variables, grid, table, x, weight, dy, y, dx, dWeight };
}

async function build(device: Device, c: KernelCase, target: Target): Promise<Built> {
  const { tape, variables, grid, table, x, weight, dy, y, dx, dWeight } = record(device, c, target);
  await variables.allocate(device, false);
  const plan = await compile(device, tape, variables);
  writeBrickTable(plan, table, brickTableData(grid, allVisible(1, grid.cells)));
  for (const tensor of [x, weight]) variables.write(tensor, values(tensor));
  plan.write(dy, values(dy));
  return { plan, x, weight, dy, y, dx, dWeight, variables };
}

function values(tensor: Tensor): Float32Array {
  const random = Random.of('bench', tensor.name);
  return Float32Array.from({ length: tensor.size }, (_, i) => 2 * random.uniform(i) - 1);
}

/**
 * Results at `samples` places of each tensor, by a float64 loop over the definition.
 * @param tolerance of the largest
 */
function check(
  c: KernelCase,
  built: Built,
  results: Record<'y' | 'dx' | 'dWeight', Float32Array>,
  tolerance: number,
): void {
  const [x, w, dy] = [values(built.x), values(built.weight), values(built.dy)];
  const { inner: K, columns: N } = c;
  const taps = c.kind === 'matmul' ? 1 : 27;
  const rows = built.x.rows;
  const at = neighbours(c);
  /** @param length of the sums, whose rounding grows as its root */
  const product = (list: Float32Array, count: number, length: number, term: (i: number) => number) => {
    const random = Random.of('samples', count);
    let largest = 0;
    let worst = 0;
    for (let s = 0; s < 200; s++) {
      const i = random.int(s, count);
      const expected = term(i);
      largest = Math.max(largest, Math.abs(expected));
      worst = Math.max(worst, Math.abs(expected - list[i]!));
    }
    mustBeClose(caseName(c), worst / largest, tolerance * Math.max(1, Math.sqrt(length / 1e5)));
  };
  product(results.y, rows * N, taps * K, (i) => {
    const [m, n] = [Math.floor(i / N), i % N];
    let sum = 0;
    for (let t = 0; t < taps; t++) {
      const row = at(m, t);
      if (row >= 0) for (let k = 0; k < K; k++) sum += x[row * K + k]! * w[(t * K + k) * N + n]!;
    }
    return sum;
  });
  product(results.dx, rows * K, taps * N, (i) => {
    const [m, k] = [Math.floor(i / K), i % K];
    let sum = 0;
    for (let t = 0; t < taps; t++) {
      const row = at(m, taps - 1 - t);
      if (row >= 0) for (let n = 0; n < N; n++) sum += dy[row * N + n]! * w[(t * K + k) * N + n]!;
    }
    return sum;
  });
  product(results.dWeight, taps * K * N, rows, (i) => {
    const [t, k, n] = [Math.floor(i / (K * N)), Math.floor(i / N) % K, i % N];
    let sum = 0;
    for (let m = 0; m < rows; m++) {
      const row = at(m, t);
      if (row >= 0) sum += x[row * K + k]! * dy[m * N + n]!;
    }
    return sum;
  });
}

/** (row, tap) → neighbour's row or −1, on a full cube of bricks; written out here so that the check shares nothing with the kernels. */
function neighbours(c: KernelCase): (row: number, tap: number) => number {
  if (c.kind === 'matmul') return (row) => row;
  const { size, edge: e } = c;
  const g = size / e;
  return (row, tap) => {
    const [brick, voxel] = [Math.floor(row / e ** 3), row % e ** 3];
    const x = Math.floor(brick / (g * g)) * e + Math.floor(voxel / (e * e)) + Math.floor(tap / 9) - 1;
    const y = (Math.floor(brick / g) % g) * e + (Math.floor(voxel / e) % e) + (Math.floor(tap / 3) % 3) - 1;
    const z = (brick % g) * e + (voxel % e) + (tap % 3) - 1;
    if ([x, y, z].some((v) => v < 0 || v >= size)) return -1;
    const to = (Math.floor(x / e) * g + Math.floor(y / e)) * g + Math.floor(z / e);
    return to * e ** 3 + ((x % e) * e + (y % e)) * e + (z % e);
  };
}

/** Milliseconds of each role, each launch timed over `count` runs of it in a row. */
async function times(plan: Plan, count: number): Promise<Record<Role, number>> {
  const result: Record<Role, number> = { forward: 0, 'input gradient': 0, 'weight gradient': 0 };
  for (const { dispatch, nanoseconds } of await plan.profile(count)) {
    const isProduct = dispatch.kernel.id.startsWith('product');
    if (!dispatch.backward && isProduct) result.forward += nanoseconds / 1e6;
    else if (isProduct) result['input gradient'] += nanoseconds / 1e6;
    else if (dispatch.kernel.id.startsWith('weight-gradient')) result['weight gradient'] += nanoseconds / 1e6;
  }
  return result;
}

/** This device with the case's kernels chosen by measuring; undefined where its class leaves no choice. */
export async function tunedFor(device: Device, c: KernelCase): Promise<Target | undefined> {
  const questions = productQuestions(device.report, [record(device, c, device.report).tape]);
  if (questions.length === 0) return undefined;
  return { ...device.report, tuning: await tune(device, questions, { milliseconds: TUNING_MILLISECONDS }) };
}

/** A case by one target's kernels, its results compared and warm. */
export interface ReadyKernel {
  readonly flop: number;
  /** Least traffic: each matrix read or written once. The same in every role. */
  readonly bytes: number;
  readonly kernelOf: (role: Role) => string;
  /** Milliseconds of one launch of each role. */
  time(): Promise<Record<Role, number>>;
  destroy(): void;
}

export async function readyKernel(device: Device, c: KernelCase, target: Target): Promise<ReadyKernel> {
  const built = await build(device, c, target);
  const { plan, variables } = built;
  await plan.step();
  const isRounded = plan.layout.dispatches.some(({ kernel }) => /-matrix.*input=f16/.test(kernel.id));
  check(
    c,
    built,
    {
      y: await plan.read(built.y),
      dx: await plan.read(built.dx),
      dWeight: await plan.read(built.dWeight),
    },
    isRounded ? ROUNDED_TO_F16 : 1e-5,
  );
  // A timestamp may be a tenth of a millisecond coarse (browsers make it so): short launches are timed in rows of some milliseconds.
  const isStamped = device.report.features.includes('timestamp-query');
  const wanted = isStamped ? TIMED_MILLISECONDS.stamped : TIMED_MILLISECONDS.clocked;
  const shortestOf = async (runs: number) => Math.min(...Object.values(await times(plan, runs)));
  let shortest = await shortestOf(1);
  if (shortest < wanted / 3) shortest = await shortestOf(16);
  const count = Math.min(200, Math.max(1, Math.ceil(wanted / Math.max(shortest, 1e-3))));
  return {
    bytes: built.x.bytes + built.weight.bytes + built.y.bytes,
    flop: 2 * built.x.rows * c.inner * c.columns * (c.kind === 'matmul' ? 1 : 27),
    kernelOf: (role) => kernelOf(plan, role),
    time: () => times(plan, count),
    destroy() {
      plan.destroy();
      variables.destroy();
    },
  };
}

function kernelOf(plan: Plan, role: Role): string {
  const found = plan.layout.dispatches.find(({ kernel, backward }) =>
    role === 'weight gradient'
      ? kernel.id.startsWith('weight-gradient')
      : kernel.id.startsWith('product') && backward === (role !== 'forward'),
  );
  return found!.kernel.id.replace(/\(.*/, '');
}

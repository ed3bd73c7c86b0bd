/** Densify + 3³ convolution: the two ops one after another, against the sparse product plus a constant (`ops/densify-conv3.ts`). */

import { BrickGrid } from '../bricks/grid.ts';
import { allVisible, randomMasks, visibleCount } from '../bricks/mask.ts';
import { brickTable, brickTableData, writeBrickTable } from '../bricks/table.ts';
import { HysparkError } from '../errors.ts';
import type { Device } from '../gpu/device.ts';
import { conv3 } from '../ops/conv3.ts';
import { densify } from '../ops/densify.ts';
import { densifyConv3 } from '../ops/densify-conv3.ts';
import { Random } from '../random.ts';
import { compile, type Plan } from '../tape/plan.ts';
import { Tape } from '../tape/tape.ts';
import type { Tensor } from '../tape/tensor.ts';
import { Variables } from '../tape/variables.ts';
import { seed } from './kernels.ts';
import type { SavingRow } from './savings.ts';
import { spread } from './statistics.ts';

interface DensifyCase {
  /** Bricks a side, of which a quarter is visible. */
  readonly bricks: number;
  readonly edge: number;
  readonly inner: number;
  readonly columns: number;
}

/** The three of the `tiny` preset, and one on the larger presets' grid. */
const CASES: readonly DensifyCase[] = [
  { bricks: 3, edge: 2, inner: 48, columns: 48 },
  { bricks: 3, edge: 4, inner: 32, columns: 24 },
  { bricks: 3, edge: 8, inner: 16, columns: 12 },
  { bricks: 6, edge: 4, inner: 32, columns: 24 },
];

const MASK_RATIO = 0.75;

interface Built {
  readonly plan: Plan;
  readonly variables: Variables;
  /** y and the gradients, by name. */
  readonly results: ReadonlyMap<string, Tensor>;
}

async function build(device: Device, { bricks, edge, inner, columns }: DensifyCase, saves: boolean): Promise<Built> {
  const tape = new Tape(device.report);
  const variables = new Variables(device.limits.maxStorageBufferBindingSize);
  const grid = new BrickGrid(bricks, bricks, bricks);
  const visible = brickTable(tape, 'visible', grid, 1, visibleCount(grid.cells, MASK_RATIO));
  const all = brickTable(tape, 'all', grid, 1, grid.cells);
  const x = variables.parameter('x', [visible.bricks, edge ** 3, inner]);
  const token = variables.parameter('token', [inner]);
  const weight = variables.parameter('weight', [27, inner, columns]);
  const bias = variables.parameter('bias', [columns]);
  const y = saves
    ? densifyConv3(tape, { x, token, weight, bias }, { visible, all })
    : conv3(tape, { x: densify(tape, { x, token }, visible), weight, bias }, all);
  const dy = tape.input('dy', y.shape);
  const gradients = [...tape.backward(seed(tape, { y }, dy))].map(([p, g]) => [`d ${p.name}`, g] as const);
  const results = new Map([['y', y], ...gradients]);
  for (const tensor of results.values()) tape.output(tensor);
  await variables.allocate(device, false);
  const plan = await compile(device, tape, variables);
  writeBrickTable(plan, visible, brickTableData(grid, randomMasks(0, 0, 1, grid.cells, MASK_RATIO)));
  writeBrickTable(plan, all, brickTableData(grid, allVisible(1, grid.cells)));
  for (const tensor of [x, token, weight, bias]) variables.write(tensor, values(tensor));
  plan.write(dy, values(dy));
  return { plan, variables, results };
}

function values({ name, size }: Tensor): Float32Array {
  const random = Random.of('bench', name);
  return Float32Array.from({ length: size }, (_, i) => 2 * random.uniform(i) - 1);
}

/** Throws unless both give the same results up to rounding. */
async function check(name: string, plain: Built, saving: Built): Promise<void> {
  for (const [what, tensor] of plain.results) {
    const expected = await plain.plan.read(tensor);
    const got = await saving.plan.read(saving.results.get(what)!);
    const largest = expected.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
    const worst = expected.reduce((most, v, i) => Math.max(most, Math.abs(v - got[i]!)), 0);
    if (!(worst <= 2e-5 * largest) || got.length !== expected.length) {
      throw new HysparkError('gpu-validation', {
        doing: `Checking ${what} of ${name}`,
        got: `a difference of ${worst}`,
        need: `${2e-5 * largest}`,
      });
    }
  }
}

type Pass = 'forward' | 'backward';

async function times(plan: Plan): Promise<Record<Pass, number>> {
  const result = { forward: 0, backward: 0 };
  for (const { dispatch, nanoseconds } of await plan.profile()) {
    if (dispatch.kernel.id !== 'fill') result[dispatch.backward ? 'backward' : 'forward'] += nanoseconds / 1e6;
  }
  return result;
}

/** Both paths in turns, `repeats` times each. */
export async function benchDensify(device: Device, repeats: number): Promise<SavingRow[]> {
  const rows: SavingRow[] = [];
  for (const c of CASES) {
    const name = `densify ${c.inner}→${c.columns}, ${c.bricks}³ bricks of ${c.edge}³`;
    const [plain, saving] = [await build(device, c, false), await build(device, c, true)];
    await Promise.all([plain.plan.step(), saving.plan.step()]);
    await check(name, plain, saving);
    const measured = { plain: [] as Record<Pass, number>[], saving: [] as Record<Pass, number>[] };
    for (let i = 0; i < repeats; i++) {
      measured.plain.push(await times(plain.plan));
      measured.saving.push(await times(saving.plan));
    }
    const passes: [string, (t: Record<Pass, number>) => number][] = [
      ['forward', (t) => t.forward],
      ['backward', (t) => t.backward],
      ['both', (t) => t.forward + t.backward],
    ];
    for (const [pass, of] of passes) {
      rows.push({ case: name, pass, plain: spread(measured.plain.map(of)), saving: spread(measured.saving.map(of)) });
    }
    for (const { plan, variables } of [plain, saving]) {
      plan.destroy();
      variables.destroy();
    }
  }
  return rows;
}

/**
 * One recorded product by one candidate, alone on the device, on random numbers: what the tuner times. Rows are cut to some whole
 * bricks, so that a trial is short and small; brick tables are those of a cube of bricks with as many present as in the recorded one.
 */

import type { Tunable } from '../../shaders/gemm/family.ts';
import { weightGradientFinishKernel } from '../../shaders/gemm/plain.wgsl.ts';
import { readsAhead } from '../../shaders/lib/kernel.ts';
import { BrickGrid } from '../bricks/grid.ts';
import { randomMasks } from '../bricks/mask.ts';
import { brickTableData, NONE } from '../bricks/table.ts';
import type { Device } from '../gpu/device.ts';
import { Random } from '../random.ts';
import { compile, type Plan } from '../tape/plan.ts';
import { type Dispatch, Tape } from '../tape/tape.ts';
import { type Storage, Tensor } from '../tape/tensor.ts';
import { Variables } from '../tape/variables.ts';
import type { Candidate, Choice, SplitChoice } from './gemm-choice.ts';

/** A launch of the family and what its kernel was chosen by. */
export interface Recorded extends Dispatch {
  readonly launch: Dispatch['launch'] & { readonly tunable: Tunable };
}

/** Of each tensor of a trial. */
const MOST_BYTES = 32 * 1024 * 1024;
/** Tensors whose size goes with the rows. Others, weights and biases, keep theirs. */
const OF_ROWS = ['a', 'd', 'y', 'pre', 'residual'];
const TABLES = ['neighbours', 'crop'];

/** A recorded launch cut to a size for trials. */
export interface TrialShape {
  readonly tunable: Tunable;
  /** Of the recorded elements in tensors that go with the rows. */
  readonly share: number;
  /** Present where the launch looks around. */
  readonly tables?: { readonly neighbours: Uint32Array; readonly crop: Uint32Array; readonly share: number };
}

/**
 * Undefined where a binding is none that a trial knows how to fill.
 * @param mostFlops of the trial's launch, unless a single brick has more
 */
export function trialShape({ kernel, tensors, launch }: Recorded, mostFlops: number): TrialShape | undefined {
  const { tunable } = launch;
  const { rows, edge } = tunable.shape;
  const known = kernel.bindings.every(({ name, type }) =>
    TABLES.includes(name) ? type === 'u32' : type !== 'u32' && type !== 'i32',
  );
  if (!known) return undefined;
  const voxels = edge ** 3;
  const bytesOfRow = Math.max(
    ...tensors.filter((_, i) => OF_ROWS.includes(kernel.bindings[i]!.name)).map((tensor) => tensor.bytes / rows),
  );
  const fitting = Math.min(rows, rows * (mostFlops / (launch.flops ?? 1)), MOST_BYTES / bytesOfRow);
  const bricks = Math.max(1, Math.floor(fitting / voxels));
  const at = (name: string) => tensors[kernel.bindings.findIndex((b) => b.name === name)];
  if (at('crop') && !at('neighbours')) return undefined;
  if (!at('neighbours')) return { tunable: withRows(tunable, bricks * voxels), share: (bricks * voxels) / rows };
  // Rows of the factor that is gathered, on any grid: as many bricks as its table has.
  const finer = tunable.variant.addressing === 'windows' ? 8 : 1;
  const present = at('a')!.rows / (finer * rows);
  const cut = cubeTables(bricks, present);
  const trialRows = cut.bricks * voxels;
  return {
    tunable: withRows(tunable, trialRows),
    share: trialRows / rows,
    tables: { ...cut, share: (cut.gathered * voxels * finer) / at('a')!.rows },
  };
}

function withRows(tunable: Tunable, rows: number): Tunable {
  return { ...tunable, shape: { ...tunable.shape, rows } } as Tunable;
}

/**
 * Tables of the largest cube that gives at most `bricks` rows of bricks. With `present` below 1 the rows are those of all bricks and
 * the gathered factor has that share of them; above 1 it is the other way round.
 */
function cubeTables(bricks: number, present: number) {
  const cells = bricks * Math.max(1, present);
  const edge = Math.max(1, Math.floor(Math.cbrt(cells) + 1e-9));
  const grid = new BrickGrid(edge, edge, edge);
  const all = Uint32Array.from({ length: grid.cells }, (_, i) => i);
  const visible = Math.max(1, Math.round(grid.cells * Math.min(present, 1 / present)));
  const some = visible === grid.cells ? all : randomMasks(1, 0, 1, grid.cells, 1 - visible / grid.cells)[0]!;
  const [rows, gathered] = present > 1 ? [some, all] : [all, some];
  const around = brickTableData(grid, [all]).neighbours;
  const slots = brickTableData(grid, [gathered]).slots;
  const crop = Uint32Array.from(
    { length: rows.length * 27 },
    (_, i) => around[rows[Math.floor(i / 27)]! * 27 + (i % 27)]!,
  );
  return {
    bricks: rows.length,
    gathered: gathered.length,
    crop,
    neighbours: crop.map((c) => (c === NONE ? c : slots[c]!)),
  };
}

/** Random numbers that all trials read, in one piece of memory. */
export class Scratch {
  private constructor(
    readonly variables: Variables,
    private readonly memory: Tensor,
  ) {}

  /** @param bytes of the largest tensor that a trial reads */
  static async allocate(device: Device, bytes: number): Promise<Scratch> {
    const variables = new Variables(device.limits.maxStorageBufferBindingSize);
    const memory = variables.parameter('scratch', [Math.ceil(bytes / 4)]);
    await variables.allocate(device, false);
    const random = Random.of('tuning');
    // A period that is prime: no two rows of a matrix are equal. Halves of each number are finite as f16, too.
    const period = Float32Array.from({ length: 65521 }, (_, i) => 2 * random.uniform(i) - 1);
    const words = new Uint32Array(period.buffer);
    words.forEach((word, i) => {
      words[i] = word & 0xffffbfff;
    });
    const values = new Float32Array(memory.size);
    for (let at = 0; at < values.length; at += period.length) {
      values.set(period.subarray(0, Math.min(period.length, values.length - at)), at);
    }
    variables.write(memory, values);
    return new Scratch(variables, memory);
  }

  /** A tensor in that memory. */
  tensor(name: string, size: number, storage: Storage): Tensor {
    const tensor = new Tensor(name, [size], 'f32', 'parameter', false, false, storage);
    tensor.home = this.memory;
    return tensor;
  }

  destroy(): void {
    this.variables.destroy();
  }
}

/** Bytes of the largest tensor that the trials of a shape read. */
export function scratchBytes({ kernel, tensors }: Recorded, shape: TrialShape): number {
  return Math.max(...tensors.map((tensor, i) => 4 * sizeIn(shape, kernel.bindings[i]!.name, tensor)));
}

function sizeIn({ share, tables }: TrialShape, name: string, tensor: Tensor): number {
  if (!OF_ROWS.includes(name)) return tensor.size;
  return Math.ceil(tensor.size * (name === 'a' && tables ? tables.share : share));
}

export interface Trial {
  readonly plan: Plan;
  /** What candidates must agree on. */
  readonly result: Tensor;
}

/** Builds a trial. Its plan has been stepped once: the result is there. Rejects where the kernel does not compile. */
export async function buildTrial(
  device: Device,
  { kernel, tensors, launch }: Recorded,
  shape: TrialShape,
  candidate: Candidate<Choice | SplitChoice>,
  scratch: Scratch,
): Promise<Trial> {
  const tape = new Tape();
  const { rows, inner, columns } = shape.tunable.shape;
  const choice = candidate.choice(rows);
  const bind: Record<string, Tensor> = {};
  kernel.bindings.forEach(({ name, access }, i) => {
    const size = () => sizeIn(shape, name, tensors[i]!);
    if (TABLES.includes(name)) bind[name] = tape.input(name, [rows / shape.tunable.shape.edge ** 3, 27], 'u32');
    else if (access === 'read') bind[name] = scratch.tensor(name, size(), tensors[i]!.storage);
    else bind[name] = new Tensor(name, [size()], 'f32', 'activation', false, false, tensors[i]!.storage);
  });
  let result = bind.y;
  const splits = 'splits' in choice ? { splits: choice.splits, rowsPerSplit: choice.rowsPerSplit } : undefined;
  const count = splits ? inner * columns * (shape.tunable.shape as { taps: number }).taps : 0;
  if (splits) bind.partials = tape.tensor('partials', [splits.splits * count]);
  const uniforms = { ...launch.uniforms, ...choice.uniforms, ...splits, rows };
  tape.dispatch(choice.kernel, bind, { uniforms, workgroups: choice.workgroups });
  if (splits) {
    result = tape.tensor('dWeight', [count]);
    const dense = { base: 0, strideTap: inner * columns, strideInner: columns, strideColumn: 1 };
    tape.dispatch(
      weightGradientFinishKernel(false, readsAhead(false)),
      { partials: bind.partials, dWeight: result },
      { uniforms: { count, splits: splits.splits, inner, columns, ...dense } },
    );
  }
  tape.output(result!);
  const plan = await compile(device, tape, scratch.variables);
  try {
    for (const table of tape.inputs) plan.write(table, shape.tables![table.name as 'neighbours' | 'crop']);
    await plan.step();
  } catch (error) {
    plan.destroy();
    throw error;
  }
  return { plan, result: result! };
}

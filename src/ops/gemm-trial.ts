/**
 * One recorded product by one candidate, alone on the device, on random numbers: what the tuner times. Rows are cut to some whole
 * bricks, so that a trial is short and small; brick tables are those of a cube of bricks with as many present as in the recorded one.
 */

import type { Tunable } from '../../shaders/gemm/family.ts';
import { productFinishKernel, weightGradientFinishKernel } from '../../shaders/gemm/finish.wgsl.ts';
import { BrickGrid } from '../bricks/grid.ts';
import { randomMasks } from '../bricks/mask.ts';
import { brickTableData, NONE } from '../bricks/table.ts';
import type { Device } from '../gpu/device.ts';
import { type Inputs, readsAhead } from '../tape/op.ts';
import { compile } from '../tape/plan.ts';
import { type Dispatch, Tape } from '../tape/tape.ts';
import { Tensor } from '../tape/tensor.ts';
import type { Candidate, Choice, SplitChoice } from './gemm-choice.ts';
import type { Scratch } from './trial-scratch.ts';
import type { Trial } from './tuner.ts';

/** A launch of the family, what its kernel was chosen by, and what others would bind. */
export interface Recorded extends Dispatch {
  readonly launch: Dispatch['launch'] & { readonly tunable: Tunable & { readonly operands: Inputs } };
}

/** Of each tensor of a trial: enough for some waves of workgroups on a large GPU, where a last wave that is not full favours other tiles. */
const MOST_BYTES = 64 * 1024 * 1024;
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
export function trialShape({ launch }: Recorded, mostFlops: number): TrialShape | undefined {
  const { tunable } = launch;
  const { operands } = tunable;
  const { rows, edge } = tunable.shape;
  const bound = tensorsOf(operands);
  if (bound.some(([name, { dtype }]) => TABLES.includes(name) !== (dtype === 'u32'))) return undefined;
  const voxels = edge ** 3;
  const bytesOfRow = Math.max(
    ...bound.filter(([name]) => OF_ROWS.includes(name)).map(([, tensor]) => tensor.bytes / rows),
  );
  const fitting = Math.min(rows, rows * (mostFlops / (launch.flops ?? 1)), MOST_BYTES / bytesOfRow);
  const bricks = Math.max(1, Math.floor(fitting / voxels));
  const at = (name: string) => operands[name];
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

function tensorsOf(operands: Inputs): [string, Tensor][] {
  return Object.entries(operands).flatMap(([name, tensor]) => (tensor ? [[name, tensor]] : []));
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

/** Bytes of the largest tensor that the trials of a shape read. */
export function scratchBytes({ launch }: Recorded, shape: TrialShape): number {
  return Math.max(...tensorsOf(launch.tunable.operands).map(([name, tensor]) => 4 * sizeIn(shape, name, tensor)));
}

function sizeIn({ share, tables }: TrialShape, name: string, tensor: Tensor): number {
  if (!OF_ROWS.includes(name)) return tensor.size;
  return Math.ceil(tensor.size * (name === 'a' && tables ? tables.share : share));
}

/** Builds a trial. Its plan has been stepped once: the result is there. Rejects where the kernel does not compile. */
export async function buildTrial(
  device: Device,
  { launch }: Recorded,
  shape: TrialShape,
  candidate: Candidate<Choice | SplitChoice>,
  scratch: Scratch,
): Promise<Trial> {
  const tape = new Tape();
  const { tunable } = shape;
  const { rows, inner, columns } = tunable.shape;
  const choice = candidate.choice(rows);
  const isProduct = tunable.form === 'product';
  const written = isProduct ? ['y', ...(tunable.variant.gelu ? ['pre'] : [])] : [];
  const bind: Record<string, Tensor> = {};
  for (const [name, tensor] of tensorsOf(launch.tunable.operands)) {
    const size = () => sizeIn(shape, name, tensor);
    if (TABLES.includes(name)) bind[name] = tape.input(name, [rows / tunable.shape.edge ** 3, 27], 'u32');
    else if (!written.includes(name)) bind[name] = scratch.tensor(name, [size()], tensor.storage);
    else bind[name] = new Tensor(name, [size()], 'f32', 'activation', false, false, tensor.storage);
  }
  const result = isProduct ? bind.y! : tape.tensor('dWeight', [inner * columns * tunable.shape.taps]);
  const { splits } = choice;
  if (splits) bind.partials = tape.tensor('partials', [splits, result.size]);
  const uniforms: Record<string, number> = { ...launch.uniforms, ...choice.uniforms, splits: splits ?? 1, rows };
  if ('rowsPerSplit' in choice) uniforms.rowsPerSplit = choice.rowsPerSplit;
  tape.dispatch(choice.kernel, bind, { uniforms, workgroups: choice.workgroups });
  const ahead = readsAhead(device.report);
  if (!isProduct) {
    const dense = { base: 0, strideTap: inner * columns, strideInner: columns, strideColumn: 1 };
    const finish = weightGradientFinishKernel(false, ahead);
    tape.dispatch(finish, { ...bind, dWeight: result }, { uniforms: { ...uniforms, ...dense, count: result.size } });
  } else if (splits)
    tape.dispatch(productFinishKernel(tunable.variant, ahead), bind, {
      uniforms: { ...uniforms, count: result.size },
    });
  tape.output(result);
  const plan = await compile(device, tape, scratch.variables);
  try {
    for (const table of tape.inputs) plan.write(table, shape.tables![table.name as 'neighbours' | 'crop']);
    await plan.step();
  } catch (error) {
    plan.destroy();
    throw error;
  }
  return { plan, results: [result] };
}

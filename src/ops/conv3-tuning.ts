/**
 * What there is to tune about 3³ convolutions, those composed with an upsampling too: which algorithm each distinct one of some tapes takes, forward and
 * backward together.
 */

import { BrickGrid } from '../bricks/grid.ts';
import { allVisible } from '../bricks/mask.ts';
import { brickTable, brickTableData, writeBrickTable } from '../bricks/table.ts';
import type { Device } from '../gpu/device.ts';
import type { Target } from '../tape/op.ts';
import { compile } from '../tape/plan.ts';
import { Tape } from '../tape/tape.ts';
import { type Shape, type Storage, Tensor } from '../tape/tensor.ts';
import { conv3 } from './conv3.ts';
import {
  type Algorithm,
  algorithmsFor,
  type ConvolutionShape,
  convolutionShape,
  keyOfConvolution,
  productsOf,
} from './conv3-algorithm.ts';
import { REORDERED } from './gemm-choice.ts';
import { probe } from './probe.ts';
import type { Scratch } from './trial-scratch.ts';
import type { Alternative, Question, Trial } from './tuner.ts';
import { upConv3 } from './up-conv3.ts';
import { winogradConv3 } from './winograd-conv3.ts';

type Way = Algorithm & Alternative;

/** Of a trial's map: its points are some times as large. */
const MOST_BYTES = 64 * 1024 * 1024;

/**
 * The distinct convolutions of tapes for this target, by their FLOPs; the largest first. None of tapes without gradients, for both passes are
 * timed; none on software adapters, whose table was measured.
 */
export function convolutionQuestions(target: Target, tapes: readonly Tape[]): Question<Way>[] {
  if (target.class !== 'gpu') return [];
  const found = new Map<string, Convolution & { flops: number }>();
  const training = tapes.filter(({ dispatches }) => dispatches.some(({ backward }) => backward));
  for (const { name, inputs } of training.flatMap((tape) => tape.ops)) {
    const up = name === upConv3.opName;
    if (!up && name !== conv3.opName && name !== winogradConv3.opName) continue;
    const { x, weight } = inputs as { readonly x: Tensor; readonly weight: Tensor };
    const shape = convolutionShape(x, weight, up);
    const key = keyOfConvolution(shape);
    const flops = (found.get(key)?.flops ?? 0) + flopsOf(shape);
    found.set(key, { shape, storage: x.storage, flops });
  }
  return [...found]
    .map(([key, { flops, ...convolution }]) => questionOf(target, key, convolution, flops))
    .filter(({ candidates }) => candidates.length > 1)
    .sort((a, b) => b.flops - a.flops);
}

/** As many products as the forward pass has, and twice as many backward. */
const flopsOf = (shape: ConvolutionShape) => 3 * 2 * productsOf(shape);

interface Convolution {
  readonly shape: ConvolutionShape;
  /** Of its map. */
  readonly storage: Storage;
}

function questionOf(target: Target, key: string, c: Convolution, flops: number): Question<Way> {
  const { up, rows, inner, columns, edge } = c.shape;
  const widest = Math.max(inner, (up ? 8 : 1) * columns); // numbers for each row of the larger map
  /** Bricks on each side of the largest cube of so many FLOPs and bytes. */
  const cut = (mostFlops: number) => {
    const most = Math.min(rows, rows * (mostFlops / flopsOf(c.shape)), MOST_BYTES / (4 * widest));
    return Math.max(1, Math.floor(Math.cbrt(most) / edge + 1e-9));
  };
  const rowsOf = (side: number) => (side * edge) ** 3;
  return {
    key,
    candidates: algorithmsFor(target, c.shape).map((algorithm) => ({ ...algorithm, tolerance: REORDERED })),
    flops,
    bytes: 4 * Math.max(rowsOf(cut(Number.POSITIVE_INFINITY)) * widest, 27 * inner * columns, up ? 8 * inner ** 2 : 0),
    kernelsOf(way) {
      const { tape } = record(target, c, way, 1);
      return [...new Map(tape.dispatches.map(({ kernel }) => [kernel.id, kernel])).values()];
    },
    trial(mostFlops) {
      const side = cut(mostFlops);
      return {
        flops: flopsOf({ ...c.shape, rows: rowsOf(side) }),
        isCut: rowsOf(side) < rows,
        build: (device, way, scratch) => build(device, record(target, c, way, side, scratch), scratch),
      };
    },
  };
}

/**
 * The convolution and its gradients on a cube of bricks, an upsampling to as many channels as it reads before it where they are composed. Without scratch
 * memory it can be looked at, not run.
 */
function record(target: Target, { shape, storage }: Convolution, { tile }: Algorithm, side: number, scratch?: Scratch) {
  const { up, inner, columns, edge } = shape;
  const tape = new Tape(target, storage === 'f16' ? 'mixed' : 'float32');
  const grid = new BrickGrid(side, side, side);
  const table = brickTable(tape, 'all', grid, 1, grid.cells);
  const read = (name: string, shape: Shape, stored: Storage) =>
    scratch?.tensor(name, shape, stored, true) ?? new Tensor(name, shape, 'f32', 'parameter', true, false, stored);
  const x = read('x', [grid.cells, edge ** 3, inner], storage);
  const weight = read('weight', [27, inner, columns], 'f32');
  const parameters = [x, weight];
  const composed = () => {
    const [upWeight, upBias] = [read('upWeight', [inner, 8, inner], 'f32'), read('upBias', [inner], 'f32')];
    parameters.push(upWeight);
    return upConv3(tape, { x, upWeight, upBias, weight, bias: read('bias', [columns], 'f32') }, { table, tile });
  };
  const y = tape.output(
    up ? composed() : tile ? winogradConv3(tape, { x, weight }, { table, tile }) : conv3(tape, { x, weight }, table),
  );
  const gradients = tape.backward(probe(tape, { y }, read('dy', y.shape, y.storage)));
  const results = [y, ...parameters.map((parameter) => tape.output(gradients.get(parameter)!))];
  return { tape, table, results };
}

async function build(
  device: Device,
  { tape, table, results }: ReturnType<typeof record>,
  { variables }: Scratch,
): Promise<Trial> {
  const plan = await compile(device, tape, variables);
  try {
    writeBrickTable(plan, table, brickTableData(table.grid, allVisible(1, table.bricks)));
    await plan.step();
  } catch (error) {
    plan.destroy();
    throw error;
  }
  return { plan, results };
}

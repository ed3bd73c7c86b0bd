/** One convolution by one algorithm, both passes on a cube of bricks and random numbers: what the tuner times. */

import { BrickGrid } from '../bricks/grid.ts';
import { allVisible, randomMasks, visibleCount } from '../bricks/mask.ts';
import { brickTable, brickTableData, writeBrickTable } from '../bricks/table.ts';
import type { Device } from '../gpu/device.ts';
import type { Target } from '../tape/op.ts';
import { compile } from '../tape/plan.ts';
import { Tape } from '../tape/tape.ts';
import { type Shape, type Storage, Tensor } from '../tape/tensor.ts';
import { conv3 } from './conv3.ts';
import type { Algorithm, ConvolutionShape } from './conv3-algorithm.ts';
import { densifyConv3 } from './densify-conv3.ts';
import { probe } from './probe.ts';
import type { Scratch } from './trial-scratch.ts';
import type { Trial } from './tuner.ts';
import { upConv3 } from './up-conv3.ts';
import { winogradConv3 } from './winograd-conv3.ts';

export interface Convolution {
  readonly shape: ConvolutionShape;
  /** Of its map. */
  readonly storage: Storage;
}

/** Of bricks ahead of densify, as runs have by default. */
const MASK_RATIO = 0.75;

/** Bricks on each side of the smallest cube; what is hidden, and what is not, takes several. */
export function leastSide({ after }: ConvolutionShape): number {
  return after === 'densify' ? 2 : 1;
}

/** Of so many bricks those that the map has. */
export function bricksOf({ after }: ConvolutionShape, cells: number): number {
  return after === 'densify' ? visibleCount(cells, MASK_RATIO) : cells;
}

/** Numbers of the largest map for each voxel of the one that is read, without what comes and goes. */
export function widthOf({ after, inner, columns }: ConvolutionShape): number {
  const larger = { up: 8, densify: 1 / (1 - MASK_RATIO), plain: 1 }[after ?? 'plain'];
  return Math.max(inner, larger * columns);
}

/**
 * Records a convolution and its gradients on `side`³ bricks; an upsampling ahead of it has as many channels as it reads. Without scratch memory it can be
 * looked at, not run.
 */
export function recordTrial(
  target: Target,
  { shape, storage }: Convolution,
  { tile }: Algorithm,
  side: number,
  scratch?: Scratch,
) {
  const { after, inner, columns, edge } = shape;
  const tape = new Tape(target, storage === 'f16' ? 'mixed' : 'float32');
  const grid = new BrickGrid(side, side, side);
  const all = brickTable(tape, 'all', grid, 1, grid.cells);
  const visible = after === 'densify' ? brickTable(tape, 'visible', grid, 1, bricksOf(shape, grid.cells)) : all;
  const read = (name: string, shape: Shape, stored: Storage = 'f32') =>
    scratch?.tensor(name, shape, stored, true) ?? new Tensor(name, shape, 'f32', 'parameter', true, false, stored);
  const inputs = {
    x: read('x', [visible.bricks, edge ** 3, inner], storage),
    weight: read('weight', [27, inner, columns]),
  };
  const record = {
    plain: () => (tile ? winogradConv3(tape, inputs, { table: all, tile }) : conv3(tape, inputs, all)),
    up() {
      const up = { upWeight: read('upWeight', [inner, 8, inner]), upBias: read('upBias', [inner]) };
      return upConv3(tape, { ...inputs, ...up, bias: read('bias', [columns]) }, { table: all, tile });
    },
    densify() {
      const others = { token: read('token', [inner]), bias: read('bias', [columns]) };
      return densifyConv3(tape, { ...inputs, ...others }, { visible, all, tile });
    },
  };
  const y = tape.output(record[after ?? 'plain']());
  const gradients = tape.backward(probe(tape, { y }, read('dy', y.shape, y.storage)));
  const results = [y, ...Object.values(inputs).map((input) => tape.output(gradients.get(input)!))];
  return { tape, visible, all, results };
}

export async function buildTrial(
  device: Device,
  { tape, visible, all, results }: ReturnType<typeof recordTrial>,
  { variables }: Scratch,
): Promise<Trial> {
  const plan = await compile(device, tape, variables);
  try {
    const { grid } = all;
    writeBrickTable(plan, all, brickTableData(grid, allVisible(1, grid.cells)));
    if (visible !== all) {
      writeBrickTable(plan, visible, brickTableData(grid, randomMasks(0, 0, 1, grid.cells, MASK_RATIO)));
    }
    await plan.step();
  } catch (error) {
    plan.destroy();
    throw error;
  }
  return { plan, results };
}

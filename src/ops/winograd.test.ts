/** Winograd's algorithm in chunks, against the sum over taps. The op cases have all of their tiles in one. */

import { expect, test } from 'vitest';
import type { Tile } from '../../shaders/lib/winograd.ts';
import { BrickGrid } from '../bricks/grid.ts';
import { allVisible, randomMasks } from '../bricks/mask.ts';
import { type BrickTable, brickTable, brickTableData, writeBrickTable } from '../bricks/table.ts';
import { compile } from '../tape/plan.ts';
import { Tape } from '../tape/tape.ts';
import type { Shape, Tensor } from '../tape/tensor.ts';
import { Variables } from '../tape/variables.ts';
import { testDevice } from '../testing/device.ts';
import { compare, draw } from '../testing/run-cases.ts';
import { conv3 } from './conv3.ts';
import { densifyConv3 } from './densify-conv3.ts';
import { probe } from './probe.ts';
import { upConv3 } from './up-conv3.ts';
import { winogradConv3 } from './winograd-conv3.ts';

const [INNER, COLUMNS] = [6, 20];
const GRID = new BrickGrid(2, 2, 1);

interface Setting {
  readonly tape: Tape;
  readonly edge: number;
  readonly all: BrickTable;
  readonly visible: BrickTable;
  parameter(name: string, shape: Shape): Tensor;
}

/** Each computed by Winograd's algorithm where there is a tile. */
const MAPS = {
  convolution({ tape, edge, all, parameter }: Setting, tile?: Tile) {
    const inputs = {
      x: parameter('x', [all.bricks, edge ** 3, INNER]),
      weight: parameter('weight', [27, INNER, COLUMNS]),
    };
    return tile ? winogradConv3(tape, inputs, { table: all, tile }) : conv3(tape, inputs, all);
  },
  upsampling({ tape, edge, all, parameter }: Setting, tile?: Tile) {
    const x = parameter('x', [all.bricks, edge ** 3, INNER]);
    const up = { upWeight: parameter('upWeight', [INNER, 8, INNER]), upBias: parameter('upBias', [INNER]) };
    const conv = { weight: parameter('weight', [27, INNER, COLUMNS]), bias: parameter('bias', [COLUMNS]) };
    return upConv3(tape, { x, ...up, ...conv }, { table: all, tile });
  },
  densify({ tape, edge, all, visible, parameter }: Setting, tile?: Tile) {
    const [x, token] = [parameter('x', [visible.bricks, edge ** 3, INNER]), parameter('token', [INNER])];
    const conv = { weight: parameter('weight', [27, INNER, COLUMNS]), bias: parameter('bias', [COLUMNS]) };
    return densifyConv3(tape, { x, token, ...conv }, { visible, all, tile });
  },
};

/** y and every gradient by name, and rows of the launches that gather points. @param most bytes of a binding, as far as the op knows */
async function results(map: keyof typeof MAPS, edge: number, most: number, tile?: Tile) {
  const device = await testDevice();
  const tape = new Tape({ ...device.report, limits: { ...device.limits, maxStorageBufferBindingSize: most } });
  const variables = new Variables(device.limits.maxStorageBufferBindingSize);
  const all = brickTable(tape, 'all', GRID, 1, GRID.cells);
  const visible = brickTable(tape, 'visible', GRID, 1, GRID.cells / 2);
  const parameter = (name: string, shape: Shape) => variables.parameter(name, shape);
  const y = tape.output(MAPS[map]({ tape, edge, all, visible, parameter }, tile));
  const dy = tape.input('dy', y.shape);
  const gradients = [...tape.backward(probe(tape, { y }, dy))];
  const outputs = [['y', y] as const, ...gradients.map(([{ name }, gradient]) => [name, gradient] as const)];
  for (const [, tensor] of outputs) tape.output(tensor);
  await variables.allocate(device, false);
  const plan = await compile(device, tape, variables);
  plan.fillActivations();
  writeBrickTable(plan, all, brickTableData(GRID, allVisible(1, GRID.cells)));
  writeBrickTable(plan, visible, brickTableData(GRID, randomMasks(0, 0, 1, GRID.cells, 0.5)));
  plan.write(dy, Float32Array.from(draw('dy', dy.size)));
  for (const p of variables.parameters) variables.write(p, Float32Array.from(draw(p.name, p.size)));
  await plan.step();
  const values = await Promise.all(outputs.map(async ([name, tensor]) => [name, await plan.read(tensor)] as const));
  plan.destroy();
  variables.destroy();
  const gathering = tape.dispatches.filter(({ kernel }) => /^winograd-(up-|down-)?input/.test(kernel.id));
  return { values: new Map(values), rows: gathering.map(({ launch }) => launch.uniforms!.rows) };
}

// 4 bricks, of 16 tiles of 2 × 4 × 4 voxels where their edge is 8, of 2 where it is 4, of one tile of 2³ where it is 2; 4 bytes each.
test.each([
  {
    map: 'convolution',
    tile: [2, 4, 4],
    edge: 8,
    most: 144 * 22 * COLUMNS * 4,
    forward: [22, 22, 20],
    backward: [22, 22, 20],
  },
  { map: 'convolution', tile: [2, 2, 2], edge: 2, most: 64 * 3 * COLUMNS * 4, forward: [2, 2], backward: [2, 2] },
  { map: 'upsampling', tile: [2, 4, 4], edge: 4, most: 600 * 3 * COLUMNS * 4, forward: [3, 3, 2], backward: [3, 3, 2] },
  // Two bricks are visible: backward their tiles alone.
  { map: 'densify', tile: [2, 4, 4], edge: 8, most: 144 * 22 * COLUMNS * 4, forward: [22, 22, 20], backward: [16, 16] },
] as const)(
  '$map equals the direct one, tiles of $tile in bricks of edge $edge',
  async ({ map, tile, edge, most, forward, backward }) => {
    const direct = await results(map, edge, most);
    const winograd = await results(map, edge, most, tile);
    expect(direct.rows).toEqual([]);
    expect(winograd.rows).toEqual([...forward, ...backward]); // of x, and of dy for both gradients
    expect([...winograd.values.keys()].sort()).toEqual([...direct.values.keys()].sort());
    expect(winograd.values.size).toBeGreaterThanOrEqual(3);
    for (const [name, values] of direct.values)
      compare(name, winograd.values.get(name)!, Float64Array.from(values), 1e-5);
  },
);

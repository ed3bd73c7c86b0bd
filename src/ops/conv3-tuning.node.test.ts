/** Algorithms of convolutions as questions to the tuner, on a software adapter that is taken for a GPU. */

import { describe, expect, test } from 'vitest';
import { BrickGrid } from '../bricks/grid.ts';
import { brickTable } from '../bricks/table.ts';
import type { Target } from '../tape/op.ts';
import { Tape } from '../tape/tape.ts';
import type { Precision } from '../tape/tensor.ts';
import { Variables } from '../tape/variables.ts';
import { likeGpu, testDevice } from '../testing/device.ts';
import { conv3 } from './conv3.ts';
import { keyOfConvolution, winogradTile } from './conv3-algorithm.ts';
import { convolutionQuestions } from './conv3-tuning.ts';
import { densifyConv3 } from './densify-conv3.ts';
import { scale } from './scale.ts';
import { sum } from './sum.ts';
import { Scratch } from './trial-scratch.ts';
import { type Stopwatch, tune } from './tuner.ts';
import { upConv3 } from './up-conv3.ts';

const gpu: Target = { class: 'gpu', subgroupSize: 0 };
const PATIENT = { milliseconds: 1e6 };

/** Convolutions of 4 to 12 and 12 to 12 channels, the second twice, one of tokens, and one that densifies; with gradients or without. */
function tapeOf(precision: Precision = 'float32', edge = 4, bricks = 2, goesBack = true): Tape {
  const tape = new Tape(gpu, precision);
  const variables = new Variables();
  const grid = new BrickGrid(bricks, bricks, bricks);
  const all = brickTable(tape, 'all', grid, 1, grid.cells);
  const visible = brickTable(tape, 'visible', grid, 1, Math.ceil(grid.cells / 4));
  const weight = (name: string, inner: number, columns: number) => variables.parameter(name, [27, inner, columns]);
  const given = tape.input('x', [grid.cells, edge ** 3, 4]);
  let y = scale(tape, { x: given }, { factor: 1 });
  y = conv3(tape, { x: y, weight: weight('first', 4, 12) }, all);
  for (const n of [1, 2]) y = conv3(tape, { x: y, weight: weight(`${n}`, 12, 12) }, all);
  conv3(tape, { x: tape.input('tokens', [grid.cells, 1, 8]), weight: weight('tokens', 8, 8) }, all);
  const [token, bias] = [variables.parameter('token', [8]), variables.parameter('bias', [12])];
  const x = tape.input('seen', [visible.bricks, 8, 8]);
  densifyConv3(tape, { x, token, weight: weight('densify', 8, 12), bias }, { visible, all });
  if (goesBack) tape.backward(sum(tape, { x: y }, {}));
  return tape;
}

const shapeOf = (inner: number) => ({ rows: 512, inner, columns: 12, edge: 4 });
const DENSIFIED = { after: 'densify', rows: 16, inner: 8, columns: 12, edge: 2 } as const;
const clock = (times: Record<string, number>): Stopwatch & { readonly asked: string[] } => {
  const asked: string[] = [];
  return { asked, now: () => 0, time: async (_, name) => times[asked[asked.push(name) - 1]!]! };
};

describe('the tuner is asked for the algorithm', () => {
  test('of each distinct convolution that has a choice, the one with most work first', () => {
    const questions = convolutionQuestions(gpu, [tapeOf()]);
    expect(questions.map(({ key }) => key)).toEqual(
      [12, 4].map((inner) => keyOfConvolution(shapeOf(inner))).concat(keyOfConvolution(DENSIFIED)),
    );
    const [question] = questions;
    expect(question!.candidates.map(({ name }) => name)).toEqual(['direct', 'winograd 2x4x4', 'winograd 2x2x2']);
    const transforms = question!.candidates.map(
      (way) => question!.kernelsOf(way).filter(({ id }) => id.startsWith('winograd')).length,
    );
    expect(transforms).toEqual([0, 3, 3]);
  });

  test('where there are gradients', () => {
    const looking = tapeOf('float32', 4, 2, false);
    expect(convolutionQuestions(gpu, [looking])).toEqual([]);
    const flops = (tapes: Tape[]) => convolutionQuestions(gpu, tapes).map((question) => question.flops);
    expect(flops([tapeOf(), looking])).toEqual(flops([tapeOf()]));
  });

  test('on GPUs', () => {
    expect(convolutionQuestions({ class: 'software-subgroups', subgroupSize: 8 }, [tapeOf()])).toEqual([]);
  });

  test.each(['float32', 'mixed'] as const)('by both passes of each, on the same numbers: %s', async (precision) => {
    const device = likeGpu(await testDevice());
    const [question] = convolutionQuestions(device.report, [tapeOf(precision)]);
    const watch = clock({ direct: 3, 'winograd 2x4x4': 1, 'winograd 2x2x2': 2 });
    const tuning = await tune(device, [question!], { stopwatch: watch, ...PATIENT });
    expect(tuning).toEqual({ [question!.key]: 'winograd 2x4x4' }); // they agree: each is timed, and the default once before
    expect(watch.asked).toHaveLength(10);
    expect(winogradTile({ ...gpu, tuning }, shapeOf(12))).toEqual([2, 4, 4]);
    expect(winogradTile({ ...gpu, tuning }, shapeOf(4))).toBeUndefined();
    const setting = question!.trial(Number.POSITIVE_INFINITY)!;
    const scratch = await Scratch.allocate(device, question!.bytes);
    for (const way of question!.candidates) {
      const { plan, results } = await setting.build(device, way, scratch);
      expect(results.map(({ shape, storage }) => [shape.join(), storage])).toEqual([
        ['8,64,12', precision === 'mixed' ? 'f16' : 'f32'],
        ['8,64,12', precision === 'mixed' ? 'f16' : 'f32'],
        ['27,12,12', 'f32'],
      ]);
      plan.destroy();
    }
    scratch.destroy();
  });

  test('composed with densify, too', async () => {
    const device = likeGpu(await testDevice());
    const question = convolutionQuestions(device.report, [tapeOf()]).at(-1)!;
    const watch = clock({ direct: 3, 'winograd 2x2x2': 1 });
    const tuning = await tune(device, [question], { stopwatch: watch, ...PATIENT });
    expect(watch.asked).toHaveLength(7); // they agree
    expect(winogradTile({ ...gpu, tuning }, DENSIFIED)).toEqual([2, 2, 2]);
    // A quarter of the bricks is there.
    const { flops } = question.trial(Number.POSITIVE_INFINITY)!;
    expect(flops).toBe(3 * 2 * 27 * 8 * 12 * 16);
  });

  /** Of two bricks of edge 4. */
  function upTape(inner: number, columns: number): Tape {
    const tape = new Tape(gpu);
    const variables = new Variables();
    const grid = new BrickGrid(2, 1, 1);
    const table = brickTable(tape, 'all', grid, 1, grid.cells);
    const x = scale(tape, { x: tape.input('x', [grid.cells, 64, inner]) }, { factor: 1 });
    const up = { upWeight: variables.parameter('W1', [inner, 8, 12]), upBias: variables.parameter('b1', [12]) };
    const conv = { weight: variables.parameter('W2', [27, 12, columns]), bias: variables.parameter('b2', [columns]) };
    tape.backward(sum(tape, { x: upConv3(tape, { x, ...up, ...conv }, { table }) }, {}));
    return tape;
  }

  test('composed with an upsampling, too', async () => {
    const device = likeGpu(await testDevice());
    const [question, ...others] = convolutionQuestions(device.report, [upTape(8, 4)]);
    expect(others).toEqual([]);
    const shape = { after: 'up', rows: 128, inner: 8, columns: 4, edge: 4 } as const;
    expect(question!.key).toBe(keyOfConvolution(shape));
    const watch = clock({ direct: 3, 'winograd 2x4x4': 1 });
    const tuning = await tune(device, [question!], { stopwatch: watch, ...PATIENT });
    expect(watch.asked).toHaveLength(7); // they agree
    expect(winogradTile({ ...gpu, tuning }, shape)).toEqual([2, 4, 4]);
    expect(winogradTile({ ...gpu, tuning }, { ...shape, after: undefined })).toBeUndefined();
    // What its trials read: one brick's fine map, or the upsampling's weight.
    expect(question!.bytes).toBe(4 * 64 * 8 * 4);
    expect(convolutionQuestions(device.report, [upTape(64, 4)])[0]!.bytes).toBe(4 * 64 * 8 * 64);
  });

  test('keeps the direct one where the other is not clearly faster', async () => {
    const device = likeGpu(await testDevice());
    const [question] = convolutionQuestions(device.report, [tapeOf()]);
    const watch = clock({ direct: 1, 'winograd 2x4x4': 0.99, 'winograd 2x2x2': 0.98 });
    expect(await tune(device, [question!], { stopwatch: watch, ...PATIENT })).toEqual({ [question!.key]: 'direct' });
  });

  test('on a cube of whole bricks that has about the FLOPs asked for, and whose map is not too large', () => {
    const [question] = convolutionQuestions(gpu, [tapeOf('float32', 16, 9)]);
    const perRow = 3 * 2 * 27 * 12 * 12;
    const sides = [1, 1e9, 4e9, Number.POSITIVE_INFINITY].map((most) => {
      const { flops, isCut } = question!.trial(most)!;
      return [Math.round(Math.cbrt(flops / perRow / 16 ** 3)), isCut];
    });
    expect(sides).toEqual([
      [1, true],
      [2, true],
      [3, true],
      [6, true], // 64 MiB hold 341 of 729 bricks
    ]);
    expect(question!.bytes).toBe(216 * 16 ** 3 * 12 * 4);
    expect(convolutionQuestions(gpu, [tapeOf()])[0]!.trial(1e9)).toMatchObject({ flops: 512 * perRow, isCut: false });
  });
});

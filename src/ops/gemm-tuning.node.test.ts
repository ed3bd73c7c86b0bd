/** The tuner on a software adapter that is taken for a GPU: the tiles run there too, slowly. Its clock is the tests'. */

import { beforeAll, describe, expect, test, vi } from 'vitest';
import { BrickGrid } from '../bricks/grid.ts';
import { allVisible } from '../bricks/mask.ts';
import { brickTable, brickTableData, NONE } from '../bricks/table.ts';
import type { Device } from '../gpu/device.ts';
import type { Target } from '../tape/op.ts';
import { Plan } from '../tape/plan.ts';
import { Tape } from '../tape/tape.ts';
import { Variables } from '../tape/variables.ts';
import { testDevice } from '../testing/device.ts';
import { recordSample } from '../testing/run-cases.ts';
import { conv3 } from './conv3.ts';
import { densifyConv3Cases } from './densify-conv3.cases.ts';
import { feedForwardCases } from './feed-forward.cases.ts';
import type { Candidate } from './gemm-choice.ts';
import { trialShape } from './gemm-trial.ts';
import { productQuestions, type ProductQuestion as Question } from './gemm-tuning.ts';
import { linear } from './linear.ts';
import { type Stopwatch, tune } from './tuner.ts';

const gpu: Target = { class: 'gpu', subgroupSize: 0 };

function linearTape(target: Target = gpu, rows = 64): Tape {
  const tape = new Tape(target);
  const weight = new Variables().parameter('weight', [8, 20]);
  tape.output(linear(tape, { x: tape.input('x', [rows, 8]), weight }, undefined));
  return tape;
}

/** A clock that stands still, and times by a candidate's name. */
function stopwatch(times: Record<string, number>): Stopwatch & { readonly asked: string[] } {
  const asked: string[] = [];
  return {
    asked,
    now: () => 0,
    async time(_, name) {
      asked.push(name);
      return times[name]!;
    },
  };
}

/** Software adapters take seconds to build a pipeline, which the alarm does not wait for. */
const PATIENT = { milliseconds: 1e6 };
/** The first three candidates of `linearTape`'s product. */
const [FIRST, SECOND, THIRD] = ['64x32x32 by 4x4', '64x48x16 by 8x4', '128x16x16 by 8x4'] as const;

function few(questions: readonly Question[]): Question[] {
  return questions.map((question) => ({ ...question, candidates: question.candidates.slice(0, 3) }));
}

describe('the tuner', () => {
  let device: Device;
  let question: Question;
  beforeAll(async () => {
    device = await testDevice();
    [question] = few(productQuestions(gpu, [linearTape()])) as [Question];
  });
  const withCandidates = (...candidates: Candidate[]): Question => ({ ...question, candidates });
  const add = (change: Partial<Candidate>): Candidate => ({ ...question.candidates[0]!, ...change });

  test('asks about each distinct product once, the one with most work first', () => {
    const tapes = [linearTape(), linearTape(gpu, 640), linearTape()];
    expect(productQuestions(gpu, tapes).map(({ key }) => key)).toEqual([
      'product addressing=rows rows=640 inner=8 columns=20 edge=1 unitStride vectors',
      'product addressing=rows rows=64 inner=8 columns=20 edge=1 unitStride vectors',
    ]);
    expect(question.candidates.map(({ name }) => name)).toEqual([FIRST, SECOND, THIRD]);
  });

  test('takes the fastest, which tapes then record', async () => {
    const clock = stopwatch({ [FIRST]: 3, [SECOND]: 2, [THIRD]: 1 });
    const tuning = await tune(device, [question], { stopwatch: clock, ...PATIENT });
    expect(tuning).toEqual({ [question.key]: THIRD });
    const toAndFro = [FIRST, SECOND, THIRD, THIRD, SECOND, FIRST, FIRST, SECOND, THIRD];
    expect(clock.asked).toEqual([FIRST, ...toAndFro]); // once for the size of a trial
    const kernelOf = (tape: Tape) => tape.dispatches[0]!.kernel.id;
    expect(kernelOf(linearTape({ ...gpu, tuning }))).toContain('down=128,across=16');
    expect(kernelOf(linearTape())).toContain('down=64,across=32');
    expect(kernelOf(linearTape({ ...gpu, tuning: { [question.key]: 'of another version' } }))).toContain('across=32');
    expect(kernelOf(linearTape({ class: 'software', subgroupSize: 0, tuning }))).toMatch(/^product-plain/);
  });

  test('keeps the default where it is not clearly slower', async () => {
    const clock = stopwatch({ [FIRST]: 1, [SECOND]: 0.98, [THIRD]: 1.5 });
    expect(await tune(device, [question], { stopwatch: clock, ...PATIENT })).toEqual({ [question.key]: FIRST });
  });

  test('leaves out what computes something else, and what does not compile', async () => {
    const good = question.candidates[0]!;
    const { kernel } = good.choice();
    const wrong = add({ name: 'wrong', choice: (rows) => ({ ...good.choice(rows), uniforms: { inner: 7 } }) });
    const none = { ...kernel, id: 'not WGSL', wgsl: `${kernel.wgsl} fn` };
    const broken = add({ name: 'broken', choice: (rows) => ({ ...good.choice(rows), kernel: none }) });
    const right = add({ name: 'right' });
    const clock = stopwatch({ [FIRST]: 3, wrong: 1, broken: 1, right: 2 });
    expect(await tune(device, [withCandidates(good, wrong, broken, right)], { stopwatch: clock, ...PATIENT })).toEqual({
      [question.key]: 'right',
    });
    expect(new Set(clock.asked)).toEqual(new Set([FIRST, 'right']));
    // A default that does not run leaves nothing to compare with.
    expect(await tune(device, [withCandidates(broken, right)], { stopwatch: clock, ...PATIENT })).toEqual({
      [question.key]: 'broken',
    });
    device.check();
  });

  test('in mixed precision takes what differs by the rounding of f16, not by more', async () => {
    const tape = new Tape({ ...gpu, limits: device.limits }, 'mixed');
    const weight = new Variables().parameter('weight', [8, 20]);
    tape.output(linear(tape, { x: tape.input('x', [64, 8]), weight }, undefined));
    const [half] = productQuestions(tape.target, [tape]) as [Question];
    const good = half.candidates[0]!;
    /** Every result times a number. */
    const off = (name: string, factor: number): Candidate => ({
      ...good,
      name,
      choice(rows) {
        const { kernel, ...choice } = good.choice(rows);
        const wgsl = kernel.wgsl.replace(/(\by\[[^=;]+\] = )([^;]+);/g, `$1(${factor} * ($2));`);
        expect(wgsl).not.toBe(kernel.wgsl);
        return { ...choice, kernel: { ...kernel, id: `${kernel.id} ${name}`, wgsl } };
      },
    });
    const candidates = [good, off('rounded', 1 - 2 ** -14), off('wrong', 1 - 2 ** -8)];
    const clock = stopwatch({ [good.name]: 3, rounded: 2, wrong: 1 });
    const compiled = vi.spyOn(device, 'compile');
    expect(await tune(device, [{ ...half, candidates }], { stopwatch: clock, ...PATIENT })).toEqual({
      [half.key]: 'rounded',
    });
    // Nothing was built that no trial runs.
    const products = compiled.mock.calls.map(([{ id }]) => id).filter((id) => id.startsWith('product-tile'));
    expect(products.filter((id) => !id.includes('[f16'))).toEqual([]);
    compiled.mockRestore();
    expect(new Set(clock.asked)).toEqual(new Set([good.name, 'rounded']));
  });

  test('stops when its time is up: what it has not got to keeps its default', async () => {
    let now = 0;
    const clock: Stopwatch = {
      now: () => now,
      async time(_, name) {
        now += 1e5;
        return name === THIRD ? 1 : 2;
      },
    };
    const questions = few(productQuestions(gpu, [linearTape(gpu, 640), linearTape()]));
    const names = async (milliseconds: number) => {
      now = 0;
      return Object.values(await tune(device, questions, { stopwatch: clock, milliseconds }));
    };
    expect(await names(1e7)).toEqual([THIRD, THIRD]);
    expect(await names(1e6 + 1)).toEqual([THIRD, FIRST]); // ten timings and one
    expect(await names(5e5)).toEqual([FIRST, FIRST]);
  });

  test.each([0, -5, Number.NaN, Number.POSITIVE_INFINITY, 1e-6])(
    'submits no more than a second of a small GPU by a clock that says %f, and keeps the default',
    async (milliseconds) => {
      const tape = new Tape(gpu);
      const weight = new Variables().parameter('weight', [256, 256]);
      tape.output(linear(tape, { x: tape.input('x', [16384, 256]), weight }, undefined)); // 2 GFLOP
      const questions = few(productQuestions(gpu, [tape, linearTape(gpu, 640)]));
      const rows: number[] = [];
      const time = vi.spyOn(Plan.prototype, 'time').mockImplementation(async function (this: Plan, count) {
        const { inner, columns, rows: each } = this.layout.dispatches[0]!.launch.uniforms!;
        rows.push(count * 2 * inner! * columns! * each!);
        return milliseconds;
      });
      const tuning = await tune(device, questions, PATIENT).finally(() => time.mockRestore());
      expect(tuning).toEqual(Object.fromEntries(questions.map(({ key, candidates }) => [key, candidates[0]!.name])));
      expect(Math.max(...rows)).toBeLessThanOrEqual(1e11);
    },
  );

  test('keeps the GPU busy while kernels are built, and leaves no plan behind', async () => {
    const questions = few(productQuestions(gpu, [linearTape(gpu, 640), linearTape()]));
    const [stepped, destroyed] = [new Set<Plan>(), new Set<Plan>()];
    const { compile } = device;
    const { time, step, destroy } = Plan.prototype;
    let rows = 0; // of a plan, while the second question's kernels are built
    let [built, isBuilt, seen] = [0, false, () => {}];
    const busy = new Promise<void>((resolve) => {
      seen = resolve;
    });
    const clock = stopwatch({ [FIRST]: 3, [SECOND]: 2, [THIRD]: 1 });
    vi.spyOn(device, 'compile').mockImplementation(async (kernel) => {
      if (++built > 3 && built <= 6) {
        await Promise.race([busy, new Promise((done) => setTimeout(done, 5000))]);
        isBuilt = true;
      }
      return compile.call(device, kernel);
    });
    vi.spyOn(Plan.prototype, 'time').mockImplementation(function (this: Plan, count) {
      if (clock.asked.length === 10 && !isBuilt && ++rows === 3) seen(); // all of the first question
      return time.call(this, count);
    });
    vi.spyOn(Plan.prototype, 'step').mockImplementation(function (this: Plan) {
      stepped.add(this);
      return step.call(this);
    });
    vi.spyOn(Plan.prototype, 'destroy').mockImplementation(function (this: Plan) {
      destroyed.add(this);
      destroy.call(this);
    });
    await tune(device, questions, { stopwatch: clock, ...PATIENT }).finally(() => vi.restoreAllMocks());
    expect(rows).toBeGreaterThanOrEqual(3);
    expect(stepped.size).toBe(7); // three candidates of each, and the first trial
    expect(destroyed).toEqual(stepped);
  });

  test('measures by itself, too', async () => {
    const tuning = await tune(device, [question], PATIENT);
    expect([FIRST, SECOND, THIRD]).toContain(tuning[question.key]);
  });
});

describe('a trial', () => {
  const recordedOf = (build: (tape: Tape, variables: Variables) => void) => {
    const tape = new Tape(gpu);
    build(tape, new Variables());
    return productQuestions(gpu, [tape]).map(({ recorded }) => recorded);
  };

  test('is cut to some whole bricks of a cube', () => {
    const grid = new BrickGrid(9, 9, 9);
    const [recorded] = recordedOf((tape, variables) => {
      const table = brickTable(tape, 'all', grid, 1, grid.cells);
      const x = tape.input('x', [grid.cells, 16 ** 3, 8]);
      conv3(tape, { x, weight: variables.parameter('weight', [27, 8, 40]) }, table);
    });
    const { tunable, share, tables } = trialShape(recorded!, Number.POSITIVE_INFINITY)!;
    const bricks = tunable.shape.rows / 16 ** 3;
    expect(bricks).toBe(64); // 64 MiB would hold 102
    expect(share).toBe(64 / 729);
    const cube = new BrickGrid(4, 4, 4);
    const expected = brickTableData(cube, allVisible(1, 64)).neighbours;
    expect(tables).toMatchObject({ neighbours: expected, crop: expected, share });
  });

  test('of a product keeps what stood before its gelu, too', async () => {
    const tape = recordSample(feedForwardCases, feedForwardCases.samples[0]!, gpu).tape;
    const [question] = few(productQuestions(gpu, [tape]).filter(({ key }) => key.includes(' gelu '))) as [Question];
    const [first, second, third] = question.candidates.map(({ name }) => name) as [string, string, string];
    const clock = stopwatch({ [first]: 3, [second]: 2, [third]: 1 });
    expect(await tune(await testDevice(), [question], { stopwatch: clock, ...PATIENT })).toEqual({
      [question.key]: third,
    });
  });

  test('gathers from present bricks, or for them', async () => {
    const sample = densifyConv3Cases.samples.find(({ name }) => name === 'wide: 40 to 20')!; // 2 of 8 bricks
    const questions = productQuestions(gpu, [recordSample(densifyConv3Cases, sample, gpu).tape]);
    const bricks = questions.map(({ recorded }) => {
      const { tunable, tables } = trialShape(recorded, 1e9)!;
      const gathered = new Set([...tables!.neighbours].filter((slot) => slot !== NONE));
      return [tunable.form, tables!.neighbours.length / 27, gathered.size, tables!.share];
    });
    expect(bricks).toEqual([
      ['product', 8, 2, 1],
      ['product', 2, 8, 1],
      ['weight gradient', 2, 8, 1],
    ]);
    const asked = new Set<string>();
    const clock: Stopwatch = { now: () => 0, time: async (_, name) => asked.add(name).size };
    await tune(await testDevice(), questions, { stopwatch: clock, ...PATIENT });
    expect(asked).toEqual(new Set(questions.flatMap(({ candidates }) => candidates.map(({ name }) => name))));
  });
});

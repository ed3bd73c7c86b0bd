import { beforeEach, describe, expect, test } from 'vitest';
import type { Device } from '../gpu/device.ts';
import { convolutionQuestions } from '../ops/conv3-tuning.ts';
import { keyOf } from '../ops/gemm-choice.ts';
import { productQuestions } from '../ops/gemm-tuning.ts';
import type { Question, Stopwatch } from '../ops/tuner.ts';
import { MemoryStore } from '../store/memory.ts';
import { likeGpu, testDevice } from '../testing/device.ts';
import { SMALL_RUN } from '../testing/runs.ts';
import { resolveConfig } from './config.ts';
import { recordRun } from './network.ts';
import { chooseKernels } from './tuning.ts';

const config = resolveConfig(SMALL_RUN);
const write = (store: MemoryStore, path: string, text: string) => store.write(path, new TextEncoder().encode(text));

const IS_ALGORITHM = /^convolution /;

let device: Device;
let cache: MemoryStore;
/** Candidates that were timed, and times that the caller was told of it. */
let [timed, told] = [0, 0];
/** Each candidate of some questions three times, and once the first one's default, for the size of trials. */
const timingsOf = (...asked: readonly Question[]) =>
  asked.reduce((sum, { candidates }) => sum + 3 * candidates.length, 1);
/** The first question: it has most work. */
let first: Question;
/** The algorithms' and the kernels' questions, with the default algorithms. */
let questions: readonly Question[];

beforeEach(async () => {
  device = likeGpu(await testDevice());
  cache = new MemoryStore();
  const { pass, update, judge } = recordRun(config, device.report);
  const tapes = [...new Set([pass.tape, update.tape, judge.tape])];
  const algorithms = convolutionQuestions(device.report, tapes);
  first = algorithms[0]!;
  questions = [...algorithms, ...productQuestions(device.report, tapes)];
});

/** Times so many candidates, of which each question's last is the fastest, then is up. */
async function choose(on = device, run = config, timings = timingsOf(first)) {
  const fastest = new Set(questions.map(({ candidates }) => candidates.at(-1)!.name));
  [timed, told] = [0, 0];
  const stopwatch: Stopwatch = {
    now: () => (timed >= timings ? 1e7 : 0),
    async time(_, name) {
      timed++;
      return fastest.has(name) ? 1 : 2;
    },
  };
  const tuning = await chooseKernels(on, run, cache, () => told++, { stopwatch, milliseconds: 1e6 });
  return tuning!;
}

async function file() {
  const [only, ...others] = await cache.list('tuning/');
  expect(others).toEqual([]);
  return { path: only!.path, ...JSON.parse(new TextDecoder().decode(await cache.read(only!.path))) };
}

describe('choosing kernels', () => {
  test('measures once; then the cache knows', async () => {
    const tuning = await choose();
    expect([timed, told]).toEqual([timingsOf(first), 1]);
    const { choices } = await file();
    expect(Object.keys(tuning).sort()).toEqual(Object.keys(choices).sort());
    // One convolution takes another algorithm than its default, in the tape that a run records.
    const opsOf = (target: Parameters<typeof recordRun>[1]) =>
      new Set(recordRun(config, target).pass.tape.dispatches.map(({ label }) => label.replace(/.*\//, '')));
    expect(opsOf(device.report)).not.toContain('winogradConv3');
    expect(opsOf({ ...device.report, tuning })).toContain('winogradConv3');
    expect(Object.values(tuning).filter((name) => name.startsWith('winograd'))).toHaveLength(1);
    const again = await choose();
    expect([again, timed, told]).toEqual([tuning, 0, 0]);
  });

  test('takes algorithms first, then the kernels of their products', async () => {
    const algorithms = questions.filter(({ key }) => IS_ALGORITHM.test(key));
    const tuning = await choose(device, config, timingsOf(...algorithms) + 1);
    for (const { key } of algorithms) expect(tuning[key]).toMatch(/^winograd /);
    for (const after of ['up', 'densify'])
      expect(algorithms.some(({ key }) => key.includes(`after=${after}`))).toBe(true);
    expect(Object.keys(tuning).some((key) => /^product addressing=batches/.test(key))).toBe(true);
    // The crop that a run is judged on needs no memory for them.
    const judged = recordRun(config, { ...device.report, tuning }).judge.tape.ops.map(({ name }) => name);
    expect(judged).toContain('conv3');
    expect(judged).not.toContain('winogradConv3');
    // No product is asked about that no launch is left of.
    const { pass, update, judge } = recordRun(config, { ...device.report, tuning });
    const left = new Set(
      [pass, update, judge].flatMap(({ tape }) => tape.dispatches.map(({ launch }) => launch.tunable)),
    );
    const keys = new Set([...left].flatMap((tunable) => (tunable ? [keyOf(tunable)] : [])));
    for (const key of Object.keys(tuning)) expect(IS_ALGORITHM.test(key) || keys.has(key), key).toBe(true);
  });

  test('leaves half of the time to the kernels', async () => {
    let timings = 0;
    const stopwatch: Stopwatch = {
      now: () => timings * 1e6,
      async time(_, name) {
        timings++;
        return name === 'direct' ? 2 : 1;
      },
    };
    // The first question takes ten timings, and half of the time eleven.
    const tuning = (await chooseKernels(device, config, cache, undefined, { stopwatch, milliseconds: 22e6 }))!;
    const algorithms = Object.entries(tuning).filter(([key]) => IS_ALGORITHM.test(key));
    expect(timingsOf(first)).toBe(10);
    expect(algorithms.filter(([, name]) => name !== 'direct')).toHaveLength(1);
    expect(algorithms.length).toBeGreaterThan(1);
    expect(timings).toBe(22);
  });

  test('measures again what was chosen from other kernels', async () => {
    const tuning = await choose();
    const { path, ...stored } = await file();
    const [key] = Object.keys(tuning) as [string]; // the one with most work: measured first
    const older = { ...stored.choices, [key]: { name: 'of older kernels', version: '00000000' } };
    await write(cache, path, JSON.stringify({ ...stored, choices: older }));
    expect(await choose()).toEqual(tuning);
    expect([timed, told]).toEqual([timingsOf(first), 1]);
    expect((await file()).choices).toEqual(stored.choices);
  });

  test('measures mixed precision by itself: what is fastest depends on how maps are stored', async () => {
    const mixed = resolveConfig({ ...SMALL_RUN, precision: 'mixed' });
    const tuning = await choose();
    const ofMixed = await choose(device, mixed);
    expect([timed, told]).toEqual([timingsOf(first), 1]);
    const keys = Object.keys(ofMixed).map((key) => key.replace(' half', ''));
    expect(keys.sort()).toEqual(Object.keys(tuning).sort());
    const { choices } = await file();
    expect(Object.keys(choices).filter((key) => key.startsWith('mixed ')).length).toBe(Object.keys(tuning).length);
    // The version is of the kernels that run, which store otherwise.
    const [key] = Object.keys(ofMixed).filter((name) => name.includes(' half')) as [string];
    expect(choices[`mixed ${key}`].version).not.toBe(choices[key.replace(' half', '')].version);
    expect(await choose(device, mixed)).toEqual(ofMixed);
    expect([timed, told]).toEqual([0, 0]);
  });

  test.each([
    ['damaged', () => '{"format": 1, '],
    ["another adapter's", (text: string) => text.replace('"adapter": "', '"adapter": "not ')],
    ['of another form', (text: string) => text.replace(/"name": "[^"]*"/, '"name": 3')],
  ])('a file that is %s is written anew', async (_, spoil) => {
    const tuning = await choose();
    const { path, ...stored } = await file();
    await write(cache, path, spoil(JSON.stringify(stored, null, 1)));
    expect(await choose()).toEqual(tuning);
    expect(told).toBe(1);
    const { path: samePath, ...rewritten } = await file();
    expect([samePath, rewritten]).toEqual([path, stored]);
  });

  test('does not measure twice what did not survive it', async () => {
    const stopwatch: Stopwatch = { now: () => 0, time: () => Promise.reject(new Error('the driver is gone')) };
    const failing = chooseKernels(device, config, cache, undefined, { stopwatch, milliseconds: 1e6 });
    await expect(failing).rejects.toThrow('the driver is gone');
    const tuning = await choose();
    for (const { key } of questions.filter(({ key }) => key.startsWith('convolution'))) {
      expect(tuning[key]).toBe('direct');
    }
    expect(told).toBe(1); // the products, which it had not got to
  });

  test('leaves software adapters to their table', async () => {
    for (const report of [
      { ...device.report, class: 'software' },
      { ...device.report, class: 'software-subgroups', subgroupSize: 8 },
    ] as const) {
      expect(await choose({ ...device, report } as Device)).toBeUndefined();
    }
    expect([timed, told, await cache.list()]).toEqual([0, 0, []]);
  });
});

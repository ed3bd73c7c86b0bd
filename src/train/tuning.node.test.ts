import { beforeEach, describe, expect, test } from 'vitest';
import type { Device } from '../gpu/device.ts';
import { questionsOf, type Stopwatch } from '../ops/gemm-tuning.ts';
import { MemoryStore } from '../store/memory.ts';
import { likeGpu, testDevice } from '../testing/device.ts';
import { SMALL_RUN } from '../testing/runs.ts';
import { resolveConfig } from './config.ts';
import { recordRun } from './network.ts';
import { chooseKernels } from './tuning.ts';

const config = resolveConfig(SMALL_RUN);
const write = (store: MemoryStore, path: string, text: string) => store.write(path, new TextEncoder().encode(text));

let device: Device;
let cache: MemoryStore;
/** Candidates that were timed, and times that the caller was told of it. */
let [timed, told] = [0, 0];
/** Of the product with most work: each candidate three times. */
let timings: number;
/** Its last candidate. */
let fastest: string;

beforeEach(async () => {
  device = likeGpu(await testDevice());
  cache = new MemoryStore();
  const { pass, update, judge } = recordRun(config, device.report);
  const [largest] = questionsOf(device.report, [...new Set([pass.tape, update.tape, judge.tape])]);
  timings = 3 * largest!.candidates.length;
  fastest = largest!.candidates.at(-1)!.name;
});

/** Times one product's candidates, of which the last is the fastest, then is up. */
async function choose(on = device, run = config) {
  [timed, told] = [0, 0];
  const stopwatch: Stopwatch = {
    now: () => (timed >= timings ? 1e7 : 0),
    async time(_, name) {
      timed++;
      return name === fastest ? 1 : 2;
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
    expect([timed, told]).toEqual([timings, 1]);
    const { choices } = await file();
    expect(Object.keys(tuning).sort()).toEqual(Object.keys(choices).sort());
    // One product has another kernel than its default, in the tape that a run records.
    const idsOf = (target: Parameters<typeof recordRun>[1]) =>
      recordRun(config, target).pass.tape.dispatches.map(({ kernel }) => kernel.id);
    const [usual, tuned] = [idsOf(device.report), idsOf({ ...device.report, tuning })];
    expect(tuned.length).toBe(usual.length);
    expect(tuned).not.toEqual(usual);
    const again = await choose();
    expect([again, timed, told]).toEqual([tuning, 0, 0]);
  });

  test('measures again what was chosen from other kernels', async () => {
    const tuning = await choose();
    const { path, ...stored } = await file();
    const [key] = Object.keys(tuning) as [string]; // the one with most work: measured first
    const older = { ...stored.choices, [key]: { name: 'of older kernels', version: '00000000' } };
    await write(cache, path, JSON.stringify({ ...stored, choices: older }));
    expect(await choose()).toEqual(tuning);
    expect([timed, told]).toEqual([timings, 1]);
    expect((await file()).choices).toEqual(stored.choices);
  });

  test('measures mixed precision by itself: what is fastest depends on how maps are stored', async () => {
    const mixed = resolveConfig({ ...SMALL_RUN, precision: 'mixed' });
    const tuning = await choose();
    const ofMixed = await choose(device, mixed);
    expect([timed, told]).toEqual([timings, 1]);
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
    expect([timed, told]).toEqual([0, 0]);
    const { pass } = recordRun(config, { ...device.report, tuning });
    const usual = recordRun(config, device.report).pass;
    const idsOf = ({ tape }: typeof pass) => tape.dispatches.map(({ kernel }) => kernel.id);
    expect(idsOf(pass)).toEqual(idsOf(usual));
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

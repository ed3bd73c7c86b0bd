import { describe, expect, test } from 'vitest';
import type { Device } from '../gpu/device.ts';
import type { Plan } from '../tape/plan.ts';
import type { Scratch } from './trial-scratch.ts';
import { type Bench, type FirstTrial, firstTrial, mostInARow, trialFlops, warmUp, whileBusy } from './trial-warm-up.ts';
import type { Question } from './tuner.ts';

/**
 * Trials in steps of 3 · 10⁸ FLOPs, of at most `whole` and at most as many as scratch space holds, on a GPU that takes `milliseconds` for so many.
 * Nothing runs.
 */
function question(whole: number, milliseconds: (flops: number) => number, held = whole) {
  const made: { readonly flops: number; isAlive: boolean }[] = [];
  const asked = {
    key: 'a question',
    candidates: [{ name: 'usual', tolerance: 0 }],
    flops: whole,
    bytes: 4,
    kernelsOf: () => [],
    trial(mostFlops: number) {
      const flops = 3e8 * Math.max(1, Math.floor(Math.min(whole, held, mostFlops) / 3e8));
      return {
        flops,
        isCut: flops < whole,
        async build() {
          const entry = { flops, isAlive: true };
          made.push(entry);
          const destroy = () => {
            entry.isAlive = false;
          };
          return { plan: { time: async () => milliseconds(flops), destroy } as unknown as Plan, results: [] };
        },
      };
    },
  } satisfies Question;
  const bench: Bench = {
    device: {} as Device,
    scratch: {} as Scratch,
    stopwatch: { now: () => 0, time: (plan) => plan.time(1) },
    isUp: () => false,
  };
  return { made, find: () => firstTrial(bench, asked), sizes: () => made.map(({ flops }) => flops) };
}

describe('the first trial', () => {
  test('is of the first size where that takes this GPU long enough', async () => {
    const { find, sizes } = question(6e10, (flops) => flops / 1e9);
    expect(await find()).toMatchObject({ flops: 2e9 });
    expect(sizes()).toEqual([1.8e9]);
  });

  test('grows until it fills a fast one, and leaves one plan', async () => {
    // Up to 9 GFLOP it takes 0.3 ms whatever its size: some of the GPU has nothing to do, so that it looks slower than it is.
    const { find, sizes, made } = question(6e10, (flops) => Math.max(0.3, flops / 3e10));
    const first = await find();
    expect(sizes()).toEqual([1.8e9, 12e9, 60e9]);
    expect(first!.flops).toBeCloseTo(6e10, -6);
    expect(made.map(({ isAlive }) => isAlive)).toEqual([false, false, true]);
    first!.plan.destroy();
    expect(made.at(-1)!.isAlive).toBe(false);
  });

  test('is the whole where that takes less, and no larger than what is submitted at a time', async () => {
    const small = question(9e8, (flops) => flops / 3e10);
    expect(await small.find()).toMatchObject({ flops: 6e10 }); // of others, on a GPU of that speed
    expect(small.sizes()).toEqual([9e8]);
    const fast = question(6e12, (flops) => flops / 1e15);
    expect(await fast.find()).toMatchObject({ flops: 1e11 });
    expect(Math.max(...fast.sizes())).toBeLessThanOrEqual(1e11);
  });

  test('stops where asking for more makes no more', async () => {
    const { find, sizes } = question(6e10, (flops) => flops / 3e10, 2.4e9);
    expect(await find()).toMatchObject({ flops: 6e10 });
    expect(sizes()).toEqual([1.8e9, 2.4e9, 2.4e9]);
  });

  test.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY])('is none by a clock that says %f', async (milliseconds) => {
    const { find, made } = question(6e10, () => milliseconds);
    expect(await find()).toBeUndefined();
    expect(made.map(({ isAlive }) => isAlive)).toEqual([false]);
  });
});

test('a trial is as long on any GPU, within bounds', () => {
  expect(trialFlops(1e9)).toBe(2e9);
  expect(trialFlops(1)).toBe(1e8);
  expect(trialFlops(1e15)).toBe(1e11);
  expect(mostInARow({ flops: 2e9, isCut: true, build: () => Promise.reject(new Error()) })).toBe(50);
  expect(mostInARow({ flops: 3e11, isCut: true, build: () => Promise.reject(new Error()) })).toBe(1);
});

test('warming up goes on while the GPU gets faster, in rows of some milliseconds', async () => {
  const asked: number[] = [];
  const speeds = [4, 2, 1, 0.5, 0.5, 0.495, 0.5];
  const time = async (count: number) => count * speeds[Math.min(asked.push(count), speeds.length) - 1]!;
  await warmUp({ time } as unknown as Plan, 6, () => false);
  expect(asked).toEqual([1, 2, 3, 5, 6, 6, 6]); // six at most
  asked.length = 0;
  await warmUp({ time } as unknown as Plan, 6, () => asked.length === 2);
  expect(asked).toEqual([1, 2]);
});

test('a GPU is kept busy while something is waited for, and no longer', async () => {
  let launches = 0;
  const time = () => new Promise<number>((done) => setTimeout(() => done(++launches), 1));
  const trial: FirstTrial = { flops: 1, plan: { time } as unknown as Plan, most: 1 };
  const pending = new Promise<string>((done) => setTimeout(() => done('compiled'), 20));
  expect(await whileBusy(pending, trial)).toBe('compiled');
  expect(launches).toBeGreaterThan(1);
  const before = launches;
  await new Promise((done) => setTimeout(done, 10));
  expect(launches).toBe(before);
  await expect(whileBusy(Promise.reject(new Error('broken')), trial)).rejects.toThrow('broken');
});

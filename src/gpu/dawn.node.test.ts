import { afterEach, expect, test, vi } from 'vitest';
import { waitQuietly } from './dawn.ts';

afterEach(() => vi.restoreAllMocks());

test('a wait lets its caller go on first, then sleeps a little longer each time, and ends with the work', async () => {
  let now = 0;
  vi.spyOn(performance, 'now').mockImplementation(() => now);
  let finish: (value: number) => void = () => {};
  const work = new Promise<number>((resolve) => (finish = resolve));
  const sleeps: number[] = [];
  vi.spyOn(Atomics, 'wait').mockImplementation((...args: unknown[]) => {
    sleeps.push(args[3] as number);
    now += 50;
    if (now === 200) finish(7);
    return 'timed-out';
  });
  const waited = waitQuietly(work);
  expect(sleeps).toEqual([]);
  expect(await waited).toBe(7);
  expect(sleeps).toEqual([0.25, 1.5, 3, 3]);
});

test('what goes wrong meanwhile is told', async () => {
  await expect(waitQuietly(Promise.reject(new Error('lost')))).rejects.toThrow('lost');
});

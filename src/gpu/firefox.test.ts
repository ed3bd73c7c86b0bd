import { afterEach, expect, test, vi } from 'vitest';
import { isFirefox, nudging } from './firefox.ts';

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

test('nothing is submitted, again and again, while anybody waits, and no longer', async () => {
  vi.useFakeTimers();
  const submit = vi.fn();
  const wait = nudging({ queue: { submit } } as unknown as GPUDevice);
  let resolve: (value: number) => void = () => {};
  let reject: (error: Error) => void = () => {};
  const first = wait(new Promise<number>((set) => (resolve = set)));
  const second = wait(new Promise<number>((_, set) => (reject = set)));
  await vi.advanceTimersByTimeAsync(40);
  expect(submit).toHaveBeenCalledTimes(10); // as many for two as for one
  expect(submit).toHaveBeenLastCalledWith([]);
  resolve(7);
  expect(await first).toBe(7);
  await vi.advanceTimersByTimeAsync(40);
  expect(submit).toHaveBeenCalledTimes(20);
  reject(new Error('lost'));
  await expect(second).rejects.toThrow('lost');
  await vi.advanceTimersByTimeAsync(40);
  expect(submit).toHaveBeenCalledTimes(20);
});

test('Firefox is known by its name', () => {
  const named = (userAgent: string) => {
    vi.stubGlobal('navigator', { userAgent });
    return isFirefox();
  };
  expect(named('Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0')).toBe(true);
  expect(named('Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/150.0.0.0 Safari/537.36')).toBe(false);
});

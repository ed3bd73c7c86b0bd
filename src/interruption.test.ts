import { expect, test } from 'vitest';
import { Interruption } from './interruption.ts';

test('work is waited for until something happens, and is not begun afterwards', async () => {
  const stop = new Interruption();
  expect(await stop.during(async () => 3)).toBe(3);
  await expect(stop.during(() => Promise.reject(new Error('its own')))).rejects.toThrow('its own');
  const waiting = stop.during(() => new Promise<void>(() => undefined));
  expect(stop.happened).toBe(false);
  stop.happen(new Error('first'));
  stop.happen(new Error('second'));
  await expect(waiting).rejects.toThrow('first');
  let begun = false;
  const late = stop.during(async () => {
    begun = true;
  });
  await expect(late).rejects.toThrow('first');
  expect([begun, stop.happened]).toEqual([false, true]);
  expect(() => stop.check()).toThrow('first');
});

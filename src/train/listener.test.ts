import { afterEach, expect, test, vi } from 'vitest';
import { Listener } from './listener.ts';
import type { RunEvent } from './types.ts';

afterEach(() => {
  vi.useRealTimers();
});

test('counts some ten times a second, always the last, and guesses the end of what takes longer', () => {
  vi.useFakeTimers({ toFake: ['performance'] });
  const told: RunEvent[] = [];
  const count = new Listener((event) => told.push(event)).counter();
  for (let done = 1; done <= 100; done++) {
    vi.advanceTimersByTime(50);
    count(done, 100);
  }
  expect(told.length).toBe(50);
  expect(told[0]).toEqual({ type: 'preparation', done: 2, of: 100, secondsLeft: undefined });
  expect(told.find((event) => event.type === 'preparation' && event.done === 60)).toMatchObject({ secondsLeft: 2 });
  expect(told.at(-1)).toMatchObject({ done: 100, of: 100, secondsLeft: 0 });
  count(100, 100);
  expect(told.length).toBe(51);
});

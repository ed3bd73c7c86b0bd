import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Pace } from './pace.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test('the first steps count while there are no others; then the latest thirty do', () => {
  const pace = new Pace();
  const takes = (step: number, seconds: number, idleMs = 0) => {
    vi.advanceTimersByTime(1000 * seconds);
    return pace.count(step, idleMs);
  };
  pace.restart(10, 0);
  expect(takes(11, 20).secondsPerStep).toBeCloseTo(20);
  expect(takes(12, 0).secondsPerStep).toBeCloseTo(10); // submitted while the first was built
  expect(takes(13, 0).secondsPerStep).toBeCloseTo(20 / 3);
  expect(takes(14, 0).secondsPerStep).toBeCloseTo(5);
  expect(takes(15, 1).secondsPerStep).toBeCloseTo(1);
  expect(takes(16, 3).secondsPerStep).toBeCloseTo(2);
  for (let step = 17; step < 47; step++) takes(step, 2);
  // One slow step weighs a thirtieth.
  expect(takes(47, 32).secondsPerStep).toBeCloseTo(3, 0);
  const { secondsPerStep, waitedShare } = takes(48, 2, 9000);
  expect(secondsPerStep).toBeCloseTo(3, 0);
  expect(waitedShare).toBeCloseTo(0.1, 1);
  pace.restart(48, 9000);
  expect(takes(49, 5, 9000)).toEqual({ secondsPerStep: 5, waitedShare: 0 });
});

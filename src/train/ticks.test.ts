import { expect, test } from 'vitest';
import { ticks } from './ticks.ts';

test('marks of a plot are round and inside it', () => {
  expect(ticks(0, 0.9, 6)).toEqual([0, 0.2, 0.4, 0.6, 0.8]);
  expect(ticks(0, 15700, 6)).toEqual([0, 5000, 10000, 15000]);
  expect(ticks(0, 4, 6)).toEqual([0, 1, 2, 3, 4]);
  expect(ticks(0.77, 1.04, 6)).toEqual([0.8, 0.85, 0.9, 0.95, 1]);
  expect(ticks(0, 0, 6)).toEqual([0]);
});

import { describe, expect, test } from 'vitest';
import { recipe, scheduleAt } from './schedule.ts';

const RUN = recipe(3700);

describe('the recipe', () => {
  test.each([
    // golden/schedule.json: 3700 steps, 1480 of warm-up
    [0, 5.000000000000001e-7, 0.04000000000000001],
    [1, 5.672297297297298e-7, 0.0400000288530048],
    [1479, 9.993277027027027e-5, 0.09523987211675028],
    [1480, 1e-4, 0.09530448957255598],
    [1660, 9.838681557222938e-5, 0.10717999478425212],
    [3699, 1.0000000000000001e-7, 0.2],
  ])('step %i', (step, learningRate, weightDecay) => {
    const rates = scheduleAt(RUN, step);
    expect(Math.abs(rates.learningRate / learningRate - 1)).toBeLessThan(1e-12);
    expect(Math.abs(rates.weightDecay / weightDecay - 1)).toBeLessThan(1e-12);
  });

  test.each([1, 2, 3, 5])('a run of %i steps has finite rates that end low', (iterations) => {
    for (let step = 0; step < iterations; step++) {
      const { learningRate, weightDecay } = scheduleAt(recipe(iterations), step);
      expect(learningRate).toBeGreaterThan(0);
      expect(weightDecay).toBeGreaterThanOrEqual(0.04 - 1e-12);
    }
    expect(scheduleAt(recipe(iterations), iterations - 1).learningRate).toBeCloseTo(1e-7, 12);
  });

  test.each([[-1], [3700], [0.5]])('step %d is refused', (step) => {
    expect(() => scheduleAt(RUN, step)).toThrow(/need a step of the run/);
  });

  test('a warm-up as long as the run is refused', () => {
    expect(() => scheduleAt({ ...RUN, warmup: 3700 }, 0)).toThrow(/a warm-up shorter than it/);
  });
});

import { expect, test } from 'vitest';
import { resolveConfig, scheduleOf } from './config.ts';

test('defaults follow the preset, and resolving twice changes nothing', () => {
  const config = resolveConfig({});
  expect(config).toMatchObject({ preset: 'tiny', batch: 2, steps: 300, evaluateEvery: 15, seed: 1 });
  expect(resolveConfig(config)).toEqual(config);
  expect(resolveConfig({ preset: 'base' })).toMatchObject({ learningRate: 1e-4, warmup: 0.4 });
});

test('epochs become steps: scans × crops a scan / crops a step', () => {
  expect(resolveConfig({ epochs: 3, batch: 2, accumulate: 2, cropsPerScan: 4 }, 10).steps).toBe(30);
});

test('the schedule leaves a step after warm-up', () => {
  expect(scheduleOf(resolveConfig({ steps: 1, warmup: 0.9 })).warmup).toBe(0);
});

test.each([
  [{ batch: 0 }, 'Option "batch": got 0, need a whole number from 1.'],
  [{ steps: 2.5 }, 'Option "steps": got 2.5'],
  [{ steps: 5, epochs: 5 }, 'Option "steps and epochs"'],
  [{ epochs: -1 }, 'Option "epochs": got -1'],
  [{ learningRate: Number.NaN }, 'Option "learningRate": got NaN'],
  [{ warmup: 1 }, 'Option "warmup": got 1'],
  [{ heldOut: 1.5 }, 'Option "heldOut"'],
  [{ seed: 2 ** 33 }, 'Option "seed"'],
  [{ preset: 'huge' as 'tiny' }, 'need one of tiny, small, base'],
  [{ model: { maskRatio: 1 } }, 'Mask ratio'],
  [{ flips: [0, 2, 0] as const }, 'Option "flips"'],
])('refuses %o', (options, message) => {
  expect(() => resolveConfig(options)).toThrow(message);
});

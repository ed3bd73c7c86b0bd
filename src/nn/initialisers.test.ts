import { describe, expect, test } from 'vitest';
import {
  fanInUniform,
  initialValues,
  kaimingNormal,
  ones,
  truncatedNormal,
  xavierUniform,
  zeros,
} from './initialisers.ts';

const COUNT = 40_000;

function moments(values: Float32Array) {
  const mean = values.reduce((sum, v) => sum + v, 0) / values.length;
  const deviation = Math.sqrt(values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / values.length);
  return { mean, deviation, largest: values.reduce((most, v) => Math.max(most, Math.abs(v)), 0) };
}

describe('initial values', () => {
  test('follow from seed and name alone', () => {
    const draw = (seed: number, name: string) => initialValues(fanInUniform(8), seed, name, 100);
    expect(draw(1, 'a')).toEqual(draw(1, 'a'));
    expect(draw(1, 'a')).not.toEqual(draw(2, 'a'));
    expect(draw(1, 'a')).not.toEqual(draw(1, 'b'));
    expect(initialValues(fanInUniform(8), 1, 'a', 50)).toEqual(draw(1, 'a').slice(0, 50));
  });

  test('constants', () => {
    expect([...initialValues(zeros, 1, 'z', 3), ...initialValues(ones, 1, 'o', 2)]).toEqual([0, 0, 0, 1, 1]);
  });

  test.each([
    ['PyTorch’s default, ±1/√fanIn', fanInUniform(27), 1 / Math.sqrt(27)],
    ['Xavier, ±√(6 / (in + out))', xavierUniform(48, 144), Math.sqrt(6 / 192)],
  ])('%s: uniform', (_, initialiser, bound) => {
    const { mean, deviation, largest } = moments(initialValues(initialiser, 3, 'w', COUNT));
    expect(largest).toBeLessThanOrEqual(bound);
    expect(largest).toBeGreaterThan(0.999 * bound);
    expect(Math.abs(mean)).toBeLessThan((4 * bound) / Math.sqrt(3 * COUNT));
    expect(deviation / (bound / Math.sqrt(3))).toBeCloseTo(1, 1);
  });

  test('Kaiming over fan out: normal of deviation √(2 / fanOut)', () => {
    const { mean, deviation } = moments(initialValues(kaimingNormal(96), 3, 'w', COUNT));
    expect(deviation / Math.sqrt(2 / 96)).toBeCloseTo(1, 1);
    expect(Math.abs(mean)).toBeLessThan((4 * deviation) / Math.sqrt(COUNT));
  });

  test('truncated normal: never beyond the cut, and drawn again rather than clamped', () => {
    const values = initialValues(truncatedNormal(0.02, 0.02), 3, 'token', COUNT);
    const { mean, deviation, largest } = moments(values);
    expect(largest).toBeLessThanOrEqual(0.02);
    expect(values.filter((v) => Math.abs(v) === Math.fround(0.02))).toHaveLength(0);
    expect(Math.abs(mean)).toBeLessThan(4e-4);
    // A standard normal cut at one deviation has deviation 0.5396.
    expect(deviation / (0.02 * 0.5396)).toBeCloseTo(1, 1);
  });
});

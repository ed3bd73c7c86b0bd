import { expect, test } from 'vitest';
import { BrickGrid } from '../../bricks/grid.ts';
import { checkConfig, type HySparkConfig, PRESETS } from './config.ts';
import { positionTable } from './positions.ts';

test.each(Object.entries(PRESETS))('preset %s is valid', (_, config) => {
  expect(checkConfig(config)).toBe(config);
});

const five = [1, 1, 1, 1, 1] as const;

test.each<[string, Partial<HySparkConfig>, RegExp]>([
  ['a crop that is no multiple of 16', { crop: 100 }, /Crop size: got 100 × 100 × 100, need multiples of 16 voxels/],
  ['no mask', { maskRatio: 0 }, /mask ratio: got 0, need above 0 and below 1/],
  ['everything hidden', { maskRatio: 0.999 }, /Mask ratio for 27 patches: got 0.999 \(0 visible\)/],
  ['a mask ratio that is no number', { maskRatio: Number.NaN }, /at least one patch visible and one hidden/],
  ['tokens not divisible by 6', { channels: [4, 8, 16, 32, 40] }, /last stage: got 40, need a multiple of 6/],
  ['tokens not divisible by the heads', { heads: 5 }, /last stage: got 48, need a multiple of the 5 heads/],
  ['a decoder width that cannot be halved four times', { width: 100 }, /decoder width: got 100, need a multiple of 16/],
  ['a stage without blocks', { blocks: [1, 0, 1, 1, 1] }, /blocks: got \[1, 0, 1, 1, 1\], need 5 whole numbers from 1/],
  ['four stages', { expansion: five.slice(1) as never }, /expansion: got .* need 5 whole numbers/],
  ['half a head', { heads: 0.5 }, /need 3 whole numbers from 1/],
])('refuses %s', (_, change, message) => {
  expect(() => checkConfig({ ...PRESETS.tiny, ...change })).toThrow(message);
});

test('the position table is sine and cosine of each axis at falling frequencies', () => {
  const table = positionTable(new BrickGrid(2, 3, 2), 12);
  const w = [1, Math.fround(10000 ** -0.5)];
  const cell = (1 * 3 + 2) * 2 + 0; // (1, 2, 0)
  const expected = [1, 2, 0].flatMap((p) => [...w.map((v) => Math.sin(p * v)), ...w.map((v) => Math.cos(p * v))]);
  table.subarray(cell * 12, cell * 12 + 12).forEach((value, i) => {
    expect(value).toBeCloseTo(expected[i]!, 6);
  });
});

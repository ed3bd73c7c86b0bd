import { describe, expect, test } from 'vitest';
import { Random } from '../random.ts';
import { baselines, smoothFill, verdict } from './baselines.ts';

const CROP = 48;
const VISIBLE = Uint32Array.of(0, 4, 8, 13, 18, 22, 26);

function volume(value: (x: number, y: number, z: number) => number): Float32Array {
  return Float32Array.from({ length: CROP ** 3 }, (_, i) =>
    value(Math.floor(i / CROP ** 2), Math.floor(i / CROP) % CROP, i % CROP),
  );
}

describe('smooth fill', () => {
  test('leaves visible voxels, and makes each hidden one the mean of its neighbours', () => {
    const image = volume((x, y, z) => 0.5 + 0.3 * Math.sin(x / 7) * Math.cos(y / 9) + z / 200);
    const fill = smoothFill(image, CROP, VISIBLE);
    let [kept, worst] = [0, 0];
    for (let x = 1; x < CROP - 1; x++) {
      for (let y = 1; y < CROP - 1; y++) {
        for (let z = 1; z < CROP - 1; z++) {
          const at = (x * CROP + y) * CROP + z;
          if (VISIBLE.includes(((x >> 4) * 3 + (y >> 4)) * 3 + (z >> 4))) {
            if (fill[at] === image[at]) kept++;
            continue;
          }
          const sum = [CROP * CROP, CROP, 1].reduce((s, step) => s + fill[at - step]! + fill[at + step]!, 0);
          worst = Math.max(worst, Math.abs(fill[at]! - sum / 6));
        }
      }
    }
    // Of 7 patches: 16³ less what the crop's sides take from corners (15³), the middle none.
    expect(kept).toBeGreaterThan(7 * 14 ** 3);
    expect(worst).toBeLessThan(1e-4);
  });

  test('of one value is that value', () => {
    const fill = smoothFill(
      volume(() => 0.25),
      CROP,
      VISIBLE,
    );
    expect(Math.max(...[0, 9999, 55555].map((at) => Math.abs(fill[at]! - 0.25)))).toBeLessThan(1e-6);
  });
});

describe('baselines', () => {
  test('of noise: nothing is gained over the patch mean, which scores (n − 1) / n', async () => {
    const random = Random.of(1, 'noise');
    const { patchMean, smoothFill: smooth } = await baselines(
      [{ volume: volume((x, y, z) => random.uniform((x * CROP + y) * CROP + z)), visible: VISIBLE }],
      CROP,
    );
    expect(patchMean).toBeCloseTo(4095 / 4096, 3);
    expect(smooth).toBeGreaterThan(0.97);
    expect(smooth).toBeLessThanOrEqual(patchMean);
  });

  test('of a slope: the fill is nearly right', async () => {
    const crops = [{ volume: volume((x) => x / CROP), visible: VISIBLE }];
    expect((await baselines(crops, CROP)).smoothFill).toBeLessThan(0.5);
  });
});

describe('verdict', () => {
  const lines = { patchMean: 1, smoothFill: 0.7 };
  const judged = (...losses: number[]) => losses.map((loss, step) => ({ step, loss, perCrop: [loss] }));

  test.each([
    [judged(1.2), 'worse-than-mean', 'unknown'],
    [judged(1, 0.95, 0.9, 0.85), 'intensity-only', 'improving'],
    [judged(1, 0.65, 0.65, 0.65), 'beats-smooth-fill', 'flat'],
  ] as const)('%#', (list, kind, trend) => {
    expect(verdict(list, lines)).toMatchObject({ kind, trend });
  });

  test('is not given without a judgement', () => {
    expect(verdict([], lines).kind).toBe('unknown');
    expect(verdict(judged(1), undefined).sentence).toMatch(/Not judged yet/);
    expect(verdict(judged(1), { patchMean: Number.NaN, smoothFill: Number.NaN }).kind).toBe('unknown');
  });

  test('of a loss that is not finite is bad, and such losses count for nothing afterwards', () => {
    for (const loss of [Number.NaN, Number.POSITIVE_INFINITY])
      expect(verdict(judged(0.5, loss), lines).sentence).toMatch(/^Not learning: the held-out loss is not finite/);
    expect(verdict(judged(1, Number.NaN, 0.9, 0.6), lines)).toMatchObject({ trend: 'improving' });
  });
});

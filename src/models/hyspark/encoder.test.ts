/** Sparse equals dense: the encoder on the visible bricks against `masked-encoder.ts`, forward and backward, over random configurations. */

import { beforeAll, describe, expect, test } from 'vitest';
import { difference, type EncoderKind, type EncoderTrial, encoderRun } from '../../bench/masked-encoder.ts';
import type { Device } from '../../gpu/device.ts';
import { Random } from '../../random.ts';
import { testDevice } from '../../testing/device.ts';
import type { HySparkConfig } from './config.ts';

/** A configuration drawn from a seed. */
function trial(seed: number): EncoderTrial {
  const random = Random.of(seed, 'sparse equals dense');
  const from = (i: number, least: number, most: number) => least + random.int(i, most - least + 1);
  const five = (i: number, least: number, most: number) =>
    [0, 1, 2, 3, 4].map((s) => from(i + s, least, most)) as unknown as HySparkConfig['channels'];
  const [c0, c1, c2, c3] = five(10, 1, 9);
  const config: HySparkConfig = {
    crop: from(0, 0, 2) === 0 ? 48 : 32,
    channels: [c0, c1, c2, c3, 6 * from(1, 1, 2)],
    blocks: five(20, 1, 2),
    expansion: five(30, 1, 3),
    vitDepth: 1,
    heads: 2,
    width: 16,
    maskRatio: [0.25, 0.5, 0.75, 0.85][random.int(2, 4)]!,
  };
  return { config, batch: from(3, 1, 2), seed };
}

/** Features and gradients of one step. */
async function run(device: Device, drawn: EncoderTrial, kind: EncoderKind) {
  const built = await encoderRun(device, drawn, kind);
  await built.plan.step();
  const results = await built.results();
  built.destroy();
  return results;
}

let device: Device;
beforeAll(async () => {
  device = await testDevice();
});

describe('the encoder on visible bricks equals the masked dense one', () => {
  test.each([1, 2, 3, 4, 5])('random configuration %i', async (seed) => {
    const drawn = trial(seed);
    const [sparse, dense] = [await run(device, drawn, 'sparse'), await run(device, drawn, 'masked')];
    const where = JSON.stringify(drawn);
    sparse.features.forEach((map, s) => {
      expect(difference(map, dense.features[s]!), `x${s + 1} ${where}`).toBeLessThan(1e-5);
    });
    expect([...sparse.gradients.keys()].sort()).toEqual([...dense.gradients.keys()].sort());
    expect(sparse.gradients.size).toBeGreaterThan(8 * 5);
    for (const [name, gradient] of sparse.gradients) {
      // sums of thousands of terms in another order
      expect(difference(gradient, dense.gradients.get(name)!), `d ${name} ${where}`).toBeLessThan(2e-4);
    }
  });

  test('and the masks are what makes it equal: without them hidden bricks leak in', async () => {
    const drawn = { ...trial(1), batch: 1 };
    const [sparse, dense] = [await run(device, drawn, 'sparse'), await run(device, drawn, 'unmasked')];
    expect(difference(sparse.features[2]!, dense.features[2]!)).toBeGreaterThan(1e-2);
    const name = 'stage3.0.depthwise.weight';
    expect(difference(sparse.gradients.get(name)!, dense.gradients.get(name)!)).toBeGreaterThan(1e-2);
  });
});

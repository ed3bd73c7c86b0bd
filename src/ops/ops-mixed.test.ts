/** Every op's cases with feature maps stored as f16. Where the adapter cannot, asking for it is a typed error. */

import { describe, expect, test } from 'vitest';
import { F16 } from '../gpu/adapter.ts';
import type { Target } from '../tape/op.ts';
import { ALL_CASES } from '../testing/all-cases.ts';
import { testDevice } from '../testing/device.ts';
import { hasMaps, runSample } from '../testing/run-cases.ts';

test('every op with a feature map is tested with maps of f16', () => {
  expect(ALL_CASES.filter((cases) => !hasMaps(cases)).map(({ op }) => op)).toEqual(['gatherBricks']); // it reads volumes
});

for (const cases of ALL_CASES.filter(hasMaps)) {
  describe(`${cases.op} with maps of f16`, () => {
    test.each(cases.samples.map((sample) => [sample.name, sample] as const))('%s', async (_, sample) => {
      const device = await testDevice();
      const run = (target?: Target) => runSample(device, cases, sample, { target, precision: 'mixed' });
      if (!device.report.features.includes(F16)) {
        await expect(run()).rejects.toMatchObject({
          code: 'unsupported',
          message: expect.stringMatching(/shader-f16/),
        });
        return;
      }
      await run();
      await run({ class: 'gpu', subgroupSize: 0 });
    });
  });
}

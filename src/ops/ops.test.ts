/** Every op's cases through the one runner, with this adapter's kernels: on Node's Dawn, in Chromium and under Deno alike. */

import { describe, test } from 'vitest';
import { ALL_CASES } from '../testing/all-cases.ts';
import { testDevice } from '../testing/device.ts';
import { checkOracle, checkWrong, runSample } from '../testing/run-cases.ts';

for (const cases of ALL_CASES) {
  describe(cases.op, () => {
    for (const sample of cases.samples) {
      test(sample.name, async () => {
        const device = await testDevice();
        // One workgroup of an elementwise kernel, so that its threads take several turns.
        return runSample(device, cases, sample, { target: { ...device.report, mostThreads: 64 } });
      });
      if (cases.backward && !cases.kinked)
        test(`${sample.name}: the loop against central differences`, () => checkOracle(cases, sample));
    }
    test('wrong inputs', () => checkWrong(cases));
  });
}

/** Every op's cases through the one runner: on Node's Dawn, in Chromium and under Deno alike. */

import { describe, test } from 'vitest';
import { testDevice } from '../testing/device.ts';
import type { OpCases } from '../testing/op-cases.ts';
import { checkOracle, checkWrong, runSample } from '../testing/run-cases.ts';

const modules = import.meta.glob<Record<string, OpCases<never>>>('./*.cases.ts', { eager: true });
const all = Object.values(modules).flatMap((module) => Object.values(module).filter((value) => 'samples' in value));

for (const cases of all) {
  describe(cases.op, () => {
    for (const sample of cases.samples) {
      test(sample.name, async () => runSample(await testDevice(), cases, sample));
      if (cases.backward && !cases.kinked)
        test(`${sample.name}: the loop against central differences`, () => checkOracle(cases, sample));
    }
    test('wrong inputs', () => checkWrong(cases));
  });
}

/** Every op's cases through the one runner: on Node's Dawn, in Chromium and under Deno alike. */

import { describe, test } from 'vitest';
import { PLAIN_TARGET, type Target } from '../tape/op.ts';
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

/** Every micro-kernel of the GEMM family, whatever this adapter would choose: they are plain WGSL and run anywhere. */
const TARGETS: readonly Target[] = [
  PLAIN_TARGET,
  { class: 'gpu', subgroupSize: 0 },
  { class: 'software', subgroupSize: 0 },
];

const dense = ['linear', 'conv3', 'transposedConv2', 'upConv3', 'densifyConv3'];
for (const cases of all.filter(({ op }) => dense.includes(op))) {
  for (const target of TARGETS) {
    describe(`${cases.op} with the kernels for "${target.class}"`, () => {
      test.each(cases.samples.map((sample) => [sample.name, sample] as const))('%s', async (_, sample) =>
        runSample(await testDevice(), cases, sample, target),
      );
    });
  }
}

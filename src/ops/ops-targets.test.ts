/**
 * Every op's cases with the kernels that another adapter would choose: they are plain WGSL and run anywhere. Chromium's compiler is Node's,
 * and builds each kernel anew for SwiftShader, which takes most of the time: there they are left to Node.
 */

import { describe, expect, test } from 'vitest';
import { runtimeName } from '../gpu/adapter.ts';
import { PLAIN_TARGET, type Target } from '../tape/op.ts';
import { ALL_CASES } from '../testing/all-cases.ts';
import { testDevice } from '../testing/device.ts';
import type { OpCases } from '../testing/op-cases.ts';
import { recordSample, runSample } from '../testing/run-cases.ts';

/** Every op may sum or share out its work otherwise on a GPU. */
const GPU: Target = { class: 'gpu', subgroupSize: 0 };
const ANY: readonly Target[] = [GPU, PLAIN_TARGET, { class: 'software', subgroupSize: 0 }];

/** Its products are chosen by the class of adapter: each micro-kernel of the GEMM family is to be tried. */
const hasProducts = (cases: OpCases<never>) =>
  cases.samples.some((sample) => recordSample(cases, sample, GPU).tape.dispatches.some((d) => d.launch.tunable));

test('ops with products are found', () => {
  const expected = ['conv3', 'densifyConv3', 'feedForward', 'linear', 'transposedConv2', 'upConv3', 'winogradConv3'];
  const names = ALL_CASES.filter(hasProducts).map(({ op }) => op);
  expect(names.sort()).toEqual(expected);
});

for (const cases of runtimeName() === 'browser' ? [] : ALL_CASES) {
  for (const target of hasProducts(cases) ? ANY : [GPU]) {
    describe(`${cases.op} with the kernels for "${target.class}"`, () => {
      test.each(cases.samples.map((sample) => [sample.name, sample] as const))('%s', async (_, sample) =>
        runSample(await testDevice(), cases, sample, { target }),
      );
    });
  }
}

/**
 * Every op's cases with the kernels that another adapter would choose: they are plain WGSL and run anywhere. Chromium's compiler is Node's,
 * and builds each kernel anew for SwiftShader, which takes most of the time: there they are left to Node.
 */

import { describe, expect, test } from 'vitest';
import { runtimeName } from '../gpu/adapter.ts';
import { PLAIN_TARGET, type Target } from '../tape/op.ts';
import { ALL_CASES } from '../testing/all-cases.ts';
import { testDevice } from '../testing/device.ts';
import { runSample } from '../testing/run-cases.ts';

/** Ops whose products are chosen by the class of adapter: every micro-kernel of the GEMM family. */
const DENSE = ['linear', 'feedForward', 'conv3', 'transposedConv2', 'upConv3', 'densifyConv3'];
/** Every op may sum or share out its work otherwise on a GPU. */
const GPU: Target = { class: 'gpu', subgroupSize: 0 };
const ANY: readonly Target[] = [GPU, PLAIN_TARGET, { class: 'software', subgroupSize: 0 }];

test('every op with products is known', () => {
  expect(ALL_CASES.map(({ op }) => op)).toEqual(expect.arrayContaining(DENSE));
});

for (const cases of runtimeName() === 'browser' ? [] : ALL_CASES) {
  for (const target of DENSE.includes(cases.op) ? ANY : [GPU]) {
    describe(`${cases.op} with the kernels for "${target.class}"`, () => {
      test.each(cases.samples.map((sample) => [sample.name, sample] as const))('%s', async (_, sample) =>
        runSample(await testDevice(), cases, sample, { target }),
      );
    });
  }
}

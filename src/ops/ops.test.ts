/** Every op's cases through the one runner: on Node's Dawn, in Chromium and under Deno alike. */

import { describe, expect, test } from 'vitest';
import { F16, runtimeName } from '../gpu/adapter.ts';
import { PLAIN_TARGET, type Target } from '../tape/op.ts';
import { testDevice } from '../testing/device.ts';
import type { OpCases } from '../testing/op-cases.ts';
import { checkOracle, checkWrong, hasMaps, runSample } from '../testing/run-cases.ts';

const modules = import.meta.glob<Record<string, OpCases<never>>>('./*.cases.ts', { eager: true });
const all = Object.values(modules).flatMap((module) => Object.values(module).filter((value) => 'samples' in value));

for (const cases of all) {
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

/** Ops whose products are chosen by the class of adapter: every micro-kernel of the GEMM family. */
const dense = ['linear', 'feedForward', 'conv3', 'transposedConv2', 'upConv3', 'densifyConv3'];
const others: readonly Target[] = [PLAIN_TARGET, { class: 'software', subgroupSize: 0 }];
/** Every op may sum or share out its work otherwise on a GPU. */
const gpu: Target = { class: 'gpu', subgroupSize: 0 };

// Whatever this adapter would choose: they are plain WGSL and run anywhere. Chromium's compiler is Node's, and builds each kernel anew
// for SwiftShader, which takes most of the time: there they are left to Node.
for (const cases of runtimeName() === 'browser' ? [] : all) {
  for (const target of dense.includes(cases.op) ? [gpu, ...others] : [gpu]) {
    describe(`${cases.op} with the kernels for "${target.class}"`, () => {
      test.each(cases.samples.map((sample) => [sample.name, sample] as const))('%s', async (_, sample) =>
        runSample(await testDevice(), cases, sample, { target }),
      );
    });
  }
}

test('every op with a feature map is tested with maps of f16', () => {
  expect(all.filter((cases) => !hasMaps(cases)).map(({ op }) => op)).toEqual(['gatherBricks']); // it reads volumes
});

// Once more with feature maps stored as f16. Where the adapter cannot, asking for it is a typed error.
for (const cases of all.filter(hasMaps)) {
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
      await run(gpu);
    });
  });
}

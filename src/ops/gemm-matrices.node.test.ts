/** Products by subgroup matrices: by the GPU's own where it has them, by an emulation everywhere. */

import { describe, expect, test } from 'vitest';
import type { SubgroupMatrix } from '../../shaders/gemm/matrix.wgsl.ts';
import { type Device, openDevice } from '../gpu/device.ts';
import type { Target, Tuning } from '../tape/op.ts';
import type { Precision } from '../tape/tensor.ts';
import { testDevice } from '../testing/device.ts';
import { EmulatingDevice } from '../testing/emulated-matrices.ts';
import type { OpCases } from '../testing/op-cases.ts';
import { recordSample, runSample } from '../testing/run-cases.ts';
import { conv3Cases } from './conv3.cases.ts';
import { densifyConv3Cases } from './densify-conv3.cases.ts';
import { feedForwardCases } from './feed-forward.cases.ts';
import { keyOf } from './gemm-choice.ts';
import { ROUNDED_TO_F16 } from './gemm-matrices.ts';
import { candidatesOf } from './gemm-table.ts';
import { linearCases } from './linear.cases.ts';
import { transposedConv2Cases } from './transposed-conv2.cases.ts';

const prepare = <A>(cases: OpCases<A>, names: readonly string[]) =>
  names.map((name) => {
    const sample = cases.samples.find((s) => s.name === name)!;
    return {
      name: `${cases.op}, ${name}`,
      async run(device: Device, matrices: readonly SubgroupMatrix[], precision: Precision = 'float32') {
        const gpu: Target = { class: 'gpu', subgroupSize: 0, matrices };
        const { tape } = recordSample(cases, sample, gpu, undefined, precision);
        const tunables = tape.dispatches.flatMap(({ launch }) => launch.tunable ?? []);
        const chosen = tunables.flatMap((tunable) => {
          const candidate = candidatesOf(gpu, tunable).find((c) => c.name.startsWith('matrices'));
          return candidate ? [{ key: keyOf(tunable), candidate }] : [];
        });
        const tuning: Tuning = Object.fromEntries(chosen.map(({ key, candidate }) => [key, candidate.name]));
        // Gradients of a rounded forward pass: of a gelu, or none.
        const rounded = matrices.every(({ input }) => input === 'f16');
        const tolerance = rounded ? { forward: ROUNDED_TO_F16, backward: ROUNDED_TO_F16 } : undefined;
        await runSample(device, cases, sample, { target: { ...gpu, tuning }, precision, tolerance });
        return Object.values(tuning);
      },
    };
  });

const DENSIFY = prepare(densifyConv3Cases, ['wide: 40 to 20']); // by neighbours, with absent bricks
/** Every epilogue; columns of each block; results that are scattered; rows in two splits. An emulated kernel takes seconds to build. */
const SOME = [
  ...DENSIFY,
  ...prepare(feedForwardCases, ['just past a tile']),
  ...prepare(linearCases, ['wide and odd', 'many rows']),
  ...prepare(transposedConv2Cases, ['edge 2 to 4, odd channels, no bias']),
];
/** Inner sizes below and above a staging, too. */
const SAMPLES = [
  ...SOME,
  ...prepare(linearCases, ['odd sizes', 'narrower', 'wide, and residual']),
  ...prepare(conv3Cases, ['sparse, batch 3, edge 2, odd channels', 'wide: 20 to 40']),
];

describe('matrices of odd shapes, emulated', () => {
  // No size equals another, so that none can stand for another.
  test.each(SOME)('f32, 16×24×4: $name', async ({ run }) => {
    const names = await run(EmulatingDevice.of(await testDevice()), [{ input: 'f32', M: 16, N: 24, K: 4, lanes: 1 }]);
    expect(names.length).toBeGreaterThanOrEqual(1);
  });

  test.each(DENSIFY)('f16, 32×16×8, of maps that are stored so, with their gradients: $name', async ({ run }) => {
    const device = await testDevice();
    expect(device.report.features).toContain('shader-f16');
    const names = await run(EmulatingDevice.of(device), [{ input: 'f16', M: 32, N: 16, K: 8, lanes: 1 }], 'mixed');
    expect(names.length).toBeGreaterThanOrEqual(3); // the product and both gradients
  });
});

const own = await openDevice({
  adapter: process.env.HYSPARK_ADAPTER || undefined,
  experimental: { subgroupMatrix: true },
});
const has = own.report.matrices.length > 0;

describe(`matrices of the GPU's own${has ? '' : ` (NOT CHECKED: ${own.report.name} has none)`}`, () => {
  test.skipIf(!has).each(SAMPLES)('$name', async ({ run }) => {
    for (const matrix of own.report.matrices) {
      await run(own, [matrix]);
      await run(own, [matrix], 'mixed');
    }
  });
});

/**
 * Every tile that the tuner may choose computes the same, also at the edges of odd sizes. In Node only: tiles differ by constants,
 * and every addressing and epilogue runs with the default tiles everywhere (`ops.test.ts`).
 */

import { afterAll, expect, test } from 'vitest';
import type { Tunable } from '../../shaders/gemm/family.ts';
import type { Target, Tuning } from '../tape/op.ts';
import { testDevice } from '../testing/device.ts';
import type { OpCases } from '../testing/op-cases.ts';
import { recordSample, runSample } from '../testing/run-cases.ts';
import { conv3Cases } from './conv3.cases.ts';
import { densifyConv3Cases } from './densify-conv3.cases.ts';
import { keyOf } from './gemm-choice.ts';
import { candidatesOf } from './gemm-table.ts';
import { linearCases } from './linear.cases.ts';
import { upConv3Cases } from './up-conv3.cases.ts';

const gpu: Target = { class: 'gpu', subgroupSize: 0 };

const samplesOf = <A>(cases: OpCases<A>, names: readonly string[]) =>
  names.map((name) => {
    const sample = cases.samples.find((s) => s.name === name)!;
    return {
      name: `${cases.op}, ${name}`,
      record: () => recordSample(cases, sample, gpu).tape,
      run: async (target: Target) => runSample(await testDevice(), cases, sample, { target }),
    };
  });

/** Sizes that divide no tile: narrow and wide, by rows, by neighbours with absent bricks, by corners. */
const ODD = [
  ...samplesOf(linearCases, ['odd sizes', 'wide and odd', 'narrower']),
  ...samplesOf(conv3Cases, ['sparse, batch 3, edge 2, odd channels', 'wide: 20 to 40']),
  ...samplesOf(densifyConv3Cases, ['wide: 40 to 20']),
  ...samplesOf(upConv3Cases, ['wide: 20 to 24 to 28']),
];

const covered = new Set<string>();

test.each(ODD)('$name', async ({ record, run }) => {
  const offered = record().dispatches.flatMap(({ launch: { tunable } }) =>
    tunable ? [{ key: keyOf(tunable), names: candidatesOf(gpu, tunable).map((c) => c.name) }] : [],
  );
  expect(offered.length).toBeGreaterThanOrEqual(3); // the product and both gradients
  for (let n = 0; n < Math.max(...offered.map(({ names }) => names.length)); n++) {
    const tuning: Tuning = Object.fromEntries(offered.map(({ key, names }) => [key, names[n] ?? names[0]!]));
    for (const name of Object.values(tuning)) covered.add(tileOf(name));
    await run({ ...gpu, tuning });
  }
});

/** The split of the rows is no other kernel. */
function tileOf(name: string): string {
  return name.replace(/,.*/, '');
}

afterAll(() => {
  const all = new Set<string>();
  const variant = { addressing: 'rows' } as Tunable['variant'];
  for (let n = 1; n <= 256; n += 3) {
    for (const inner of [16, 64, 200]) {
      const shape = { rows: 1e5, inner, columns: n, edge: 1, taps: 1, unitStride: true };
      for (const form of ['product', 'weight gradient'] as const) {
        for (const { name } of candidatesOf(gpu, { form, variant, shape } as Tunable)) all.add(tileOf(name));
      }
    }
  }
  expect([...covered].sort()).toEqual([...all].sort());
});

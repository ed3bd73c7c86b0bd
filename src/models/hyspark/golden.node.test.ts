/** The network against golden sets that lie outside the project, and what one runtime is enough for. */

import { describe, expect, test } from 'vitest';
import { testDevice } from '../../testing/device.ts';
import { bundled } from '../../testing/golden/bundled.ts';
import { goldenFolder } from '../../testing/golden/folder.ts';
import { readPretrainSet } from '../../testing/golden/manifest.ts';
import { comparePretrain } from '../../testing/golden/pretrain.ts';
import { table } from '../../testing/golden/report.ts';
import { runGoldenSet } from '../../testing/golden/run.ts';
import { sharedPath, testWithShared } from '../../testing/shared.ts';
import { allSavings } from './hyspark.ts';

const FOLDER = sharedPath('golden');

/** `tiny_b1` runs in every runtime, in `golden.test.ts`; `mid` has base's channels; the full-size set is for `npm run golden`, on an adapter that holds it. */
const SETS = ['tiny_b2', 'mid', 'adamw', 'schedule', 'hash_values', 'state_dict_keys'];

describe('golden sets', () => {
  for (const set of SETS) {
    testWithShared(`golden/${set}.json`)(
      set,
      async () => {
        const rows = await runGoldenSet(goldenFolder(FOLDER), set, { device: testDevice });
        expect(
          rows.filter(({ status }) => status === 'fail'),
          table(rows),
        ).toEqual([]);
        expect(rows.filter(({ status, compared }) => status === 'pass' && compared > 0).length).toBeGreaterThan(0);
      },
      1_800_000,
    );
  }
});

// After some steps a few rectifiers have flipped by rounding, whatever computes them: plain losses are up to seven tenths of what is allowed from the golden
// ones without savings, too. So this depends on the adapter's roundings; every runtime compares savings one step long (`savings.test.ts`).
test.each([
  ['without savings', false],
  ['with every saving', true],
])('tiny_synth %s', { timeout: 900_000 }, async (_, on) => {
  const rows = await runGoldenSet(bundled, 'tiny_synth', { device: testDevice, savings: allSavings(on) });
  expect(
    rows.filter(({ status }) => status === 'fail'),
    table(rows),
  ).toEqual([]);
  expect(rows.filter(({ status, compared }) => status === 'pass' && compared > 0).length).toBeGreaterThan(50);
});

test('weights of another seed are noticed', { timeout: 900_000 }, async () => {
  const set = await readPretrainSet(bundled, 'tiny_synth');
  const { steps: _, ...plain } = set.plain;
  const report = await comparePretrain(await testDevice(), { ...set, seed: set.seed + 1, plain, smooth: undefined });
  const failed = report.rows.filter(({ status }) => status === 'fail').map(({ group }) => group);
  const wrong = ['loss', 'activation stem', 'activation rec', 'gradients: encoder', 'gradients: transformer'];
  expect(failed).toEqual(expect.arrayContaining(wrong));
});

/** The network against golden numbers, in every runtime: the set that the project carries, and one with CT where it lies. */

import { expect, test } from 'vitest';
import { testDevice } from '../../testing/device.ts';
import { beside, bundled } from '../../testing/golden/bundled.ts';
import { type GoldenFolder, readPretrainSet } from '../../testing/golden/manifest.ts';
import { comparePretrain } from '../../testing/golden/pretrain.ts';
import { table } from '../../testing/golden/report.ts';
import { runGoldenSet } from '../../testing/golden/run.ts';
import { allSavings } from './hyspark.ts';

const timeout = 900_000;
/** Some of what a set must have compared, so that nothing passes by being left out. */
const GROUPS = [
  'loss',
  'loss_eval',
  'activation x3',
  'activation vit',
  'activation rec',
  'gradients: encoder',
  'smooth gradients: decoder',
  'running statistics',
  'smooth steps: loss, later',
  'smooth steps: after 5, parameters',
];

async function check(folder: GoldenFolder, set: string, savings = true): Promise<void> {
  const rows = await runGoldenSet(folder, set, { device: testDevice, savings: allSavings(savings) });
  expect(
    rows.filter(({ status }) => status === 'fail'),
    table(rows),
  ).toEqual([]);
  const passed = rows.filter(({ status, compared }) => status === 'pass' && compared > 0).map(({ group }) => group);
  expect(passed).toEqual(expect.arrayContaining(GROUPS));
}

test.each([
  ['with every saving', true],
  ['without', false],
])('tiny_synth %s: forward, gradients and AdamW steps within the tolerances', { timeout }, (_, savings) =>
  check(bundled, 'tiny_synth', savings),
);

const here = beside.sets.includes('tiny_b1');
test.skipIf(!here)(`tiny_b1, from CT${here ? '' : ' (NOT CHECKED: ../shared/golden is absent)'}`, { timeout }, () =>
  check(beside, 'tiny_b1'),
);

test('weights of another seed are noticed', { timeout }, async () => {
  const set = await readPretrainSet(bundled, 'tiny_synth');
  const { steps: _, ...plain } = set.plain;
  const report = await comparePretrain(await testDevice(), { ...set, seed: set.seed + 1, plain, smooth: undefined });
  const failed = report.rows.filter(({ status }) => status === 'fail').map(({ group }) => group);
  const wrong = ['loss', 'activation stem', 'activation rec', 'gradients: encoder', 'gradients: transformer'];
  expect(failed).toEqual(expect.arrayContaining(wrong));
});

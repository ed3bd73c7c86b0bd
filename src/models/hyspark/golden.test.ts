/** The network as runs compute it against golden numbers, in every runtime: the set that the project carries, and one with CT where it lies. */

import { expect, test } from 'vitest';
import { testDevice } from '../../testing/device.ts';
import { beside, bundled } from '../../testing/golden/bundled.ts';
import type { GoldenFolder } from '../../testing/golden/manifest.ts';
import { table } from '../../testing/golden/report.ts';
import { runGoldenSet } from '../../testing/golden/run.ts';

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

async function check(folder: GoldenFolder, set: string): Promise<void> {
  const rows = await runGoldenSet(folder, set, { device: testDevice });
  expect(
    rows.filter(({ status }) => status === 'fail'),
    table(rows),
  ).toEqual([]);
  const passed = rows.filter(({ status, compared }) => status === 'pass' && compared > 0).map(({ group }) => group);
  expect(passed).toEqual(expect.arrayContaining(GROUPS));
}

test('tiny_synth: forward, gradients and AdamW steps within the tolerances', { timeout }, () =>
  check(bundled, 'tiny_synth'),
);

const here = beside.sets.includes('tiny_b1');
test.skipIf(!here)(`tiny_b1, from CT${here ? '' : ' (NOT CHECKED: ../shared/golden is absent)'}`, { timeout }, () =>
  check(beside, 'tiny_b1'),
);

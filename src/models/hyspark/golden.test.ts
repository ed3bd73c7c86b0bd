/** The network against the golden numbers of the set that the project carries. */

import { expect, test } from 'vitest';
import { testDevice } from '../../testing/device.ts';
import { bundled } from '../../testing/golden/bundled.ts';
import { readPretrainSet } from '../../testing/golden/manifest.ts';
import { comparePretrain } from '../../testing/golden/pretrain.ts';
import { table } from '../../testing/golden/report.ts';
import { runGoldenSet } from '../../testing/golden/run.ts';
import { NO_SAVINGS } from './hyspark.ts';

const SET = 'tiny_synth';

test.each([
  ['with the exact savings', {}],
  ['by the plain path', NO_SAVINGS],
])(
  'tiny_synth %s: forward, gradients and AdamW steps within the tolerances',
  { timeout: 600_000 },
  async (_, savings) => {
    const rows = await runGoldenSet(bundled, SET, { device: testDevice, savings });
    expect(
      rows.filter(({ status }) => status === 'fail'),
      table(rows),
    ).toEqual([]);
    const passed = new Set(
      rows.filter(({ status, compared }) => status === 'pass' && compared > 0).map((r) => r.group),
    );
    for (const group of ['loss', 'loss_eval', 'activation x3', 'activation vit', 'activation rec', 'gradients: encoder',
    'smooth gradients: decoder', 'running statistics', 'smooth steps: loss, later', 'smooth steps: after 5, parameters']) // biome-ignore format: a list
      expect(passed).toContain(group);
  },
);

test('weights of another seed are noticed', { timeout: 600_000 }, async () => {
  const set = await readPretrainSet(bundled, SET);
  const { steps: _, ...plain } = set.plain;
  // the same numbers expected of the weights of another seed: every comparison that can fail does
  const report = await comparePretrain(await testDevice(), { ...set, seed: set.seed + 1, plain, smooth: undefined });
  const failed = new Set(report.rows.filter(({ status }) => status === 'fail').map(({ group }) => group));
  for (const group of ['loss', 'activation stem', 'activation rec', 'gradients: encoder', 'gradients: transformer'])
    expect(failed).toContain(group);
});

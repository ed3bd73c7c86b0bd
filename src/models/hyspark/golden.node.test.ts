/** The network against golden sets that lie outside the project. */

import { existsSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { testDevice } from '../../testing/device.ts';
import { goldenFolder } from '../../testing/golden/folder.ts';
import { table } from '../../testing/golden/report.ts';
import { runGoldenSet } from '../../testing/golden/run.ts';

const FOLDER = '../shared/golden';

/** `mid` has base's channels; the full-size set is for `npm run golden`, on an adapter that holds it. */
const SETS = ['tiny_b1', 'tiny_b2', 'mid', 'adamw', 'schedule', 'hash_values', 'state_dict_keys'];

describe('golden sets', () => {
  for (const set of SETS) {
    const present = existsSync(`${FOLDER}/${set}.json`);
    const title = `${set}${present ? '' : ` (SKIPPED: ${FOLDER} is absent)`}`;
    test.skipIf(!present)(title, { timeout: 1_800_000 }, async () => {
      const rows = await runGoldenSet(goldenFolder(FOLDER), set, { device: testDevice });
      expect(
        rows.filter(({ status }) => status === 'fail'),
        table(rows),
      ).toEqual([]);
      expect(rows.filter(({ status, compared }) => status === 'pass' && compared > 0).length).toBeGreaterThan(0);
    });
  }
});

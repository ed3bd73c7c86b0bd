/** The network against golden sets that lie outside the project. */

import { describe, expect } from 'vitest';
import { testDevice } from '../../testing/device.ts';
import { goldenFolder } from '../../testing/golden/folder.ts';
import { table } from '../../testing/golden/report.ts';
import { runGoldenSet } from '../../testing/golden/run.ts';
import { sharedPath, testWithShared } from '../../testing/shared.ts';

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

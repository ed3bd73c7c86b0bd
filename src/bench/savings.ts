/**
/**
 * `npm run bench:savings [-- --adapter NAME]… [--repeats N] [--kernels] [--json FILE]`: the exact savings against the plain path, in one
 * run in turns, after comparing their results; with `--kernels` also where the saving way's time goes.
 */

import { onAdapters } from './adapters.ts';
import { benchSaving } from './saving-case.ts';
import { DENSIFY_CASES } from './savings-densify.ts';
import { UP_CONV_CASES } from './savings-up-conv.ts';
import type { Spread } from './statistics.ts';

export interface SavingRow {
  readonly case: string;
  readonly pass: string;
  /** Of one call, milliseconds. */
  readonly plain: Spread;
  readonly saving: Spread;
}

const results = await onAdapters(
  import.meta.url,
  async (device, { repeats, flags }) => {
    const rows: SavingRow[] = [];
    for (const c of [...UP_CONV_CASES, ...DENSIFY_CASES]) {
      rows.push(...(await benchSaving(device, c, repeats, flags.has('kernels'))));
    }
    return rows;
  },
  ['kernels'],
);

for (const { adapter, class: kind, rows } of results) {
  console.log(`\n${adapter} (${kind})`);
  console.log(`${'case'.padEnd(40)} ${'pass'.padEnd(10)} plain ms   saving ms   plain ÷ saving   of fastest runs`);
  for (const row of rows) {
    const [plain, saving] = [row.plain.median, row.saving.median];
    console.log(
      `${row.case.padEnd(40)} ${row.pass.padEnd(10)} ${plain.toFixed(2).padStart(8)}   ${saving.toFixed(2).padStart(9)}   ${(plain / saving).toFixed(2).padStart(14)}   ${(row.plain.low / row.saving.low).toFixed(2).padStart(15)}`,
    );
  }
}

/**
 * `npm run bench:savings [-- --adapter NAME]… [--repeats N] [--json FILE]`: the exact savings against the plain path, in one run in turns,
 * after comparing their results.
 */

import { onAdapters } from './adapters.ts';
import { benchDensify } from './savings-densify.ts';
import type { Spread } from './statistics.ts';

export interface SavingRow {
  readonly case: string;
  readonly pass: string;
  /** Of one call, milliseconds. */
  readonly plain: Spread;
  readonly saving: Spread;
}

const results = await onAdapters(import.meta.url, (device, { repeats }) => benchDensify(device, repeats));

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

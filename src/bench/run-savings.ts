/**
 * `npm run bench:savings [-- --adapter NAME]… [--only TEXT] [--repeats N] [--kernels] [--json FILE]`: the savings benchmark in Node.
 * Prints a table, with `--kernels` where the saving way's time goes, and JSON to a file.
 */

import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { openDevice } from '../gpu/device.ts';
import { leave, onAdapters } from './processes.ts';
import { benchSaving, SAVING_CASES, type SavingRow } from './savings.ts';

interface Result {
  readonly adapter: string;
  readonly class: string;
  readonly rows: readonly SavingRow[];
}

const { values: options } = parseArgs({
  options: {
    adapter: { type: 'string', multiple: true },
    only: { type: 'string', default: '' },
    repeats: { type: 'string', default: '9' },
    kernels: { type: 'boolean', default: false },
    json: { type: 'string' },
    child: { type: 'string' },
  },
});

if (options.child) {
  const device = await openDevice({ adapter: options.adapter?.[0] });
  const rows: SavingRow[] = [];
  for (const c of SAVING_CASES.filter(({ name }) => name.includes(options.only))) {
    rows.push(await benchSaving(device, c, Number(options.repeats)));
  }
  const result: Result = { adapter: device.report.name, class: device.report.class, rows };
  leave(options.child, result);
}

const passed = ['--repeats', options.repeats, '--only', options.only];
const results = onAdapters<Result>(import.meta.url, options.adapter ?? ['lavapipe', 'swiftshader'], passed);
for (const { adapter, class: kind, rows } of results) {
  console.log(`\n${adapter} (${kind}); milliseconds, medians`);
  console.log(`${'case'.padEnd(36)}   forward: plain   saving   ÷      + backward: plain   saving   ÷`);
  for (const { case: name, forward, total, forwardSpeedup, totalSpeedup, kernels } of rows) {
    const numbers = (pair: SavingRow['forward'], ratio: number) =>
      `${pair.map(({ median }) => median.toFixed(2).padStart(9)).join('')} ${ratio.toFixed(2).padStart(6)}`;
    console.log(`${name.padEnd(36)}  ${numbers(forward, forwardSpeedup)}   ${numbers(total, totalSpeedup)}`);
    if (options.kernels) for (const [id, ms] of kernels) console.log(`  ${ms.toFixed(2).padStart(8)} ${id}`);
  }
}
if (options.json) writeFileSync(options.json, `${JSON.stringify(results, null, 1)}\n`);

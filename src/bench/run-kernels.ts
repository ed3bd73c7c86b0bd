/**
 * `npm run bench:kernels [-- --adapter NAME]… [--all] [--repeats N] [--json FILE]`: the kernel benchmark in Node.
 * Prints a table, and JSON to a file.
 */

import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { openDevice } from '../gpu/device.ts';
import { benchKernel, type KernelRow, REQUIRED_CASES, STEP_CASES } from './kernels.ts';
import { leave, onAdapters } from './processes.ts';

interface Result {
  readonly adapter: string;
  readonly class: string;
  readonly rows: readonly KernelRow[];
}

const { values: options } = parseArgs({
  options: {
    adapter: { type: 'string', multiple: true },
    all: { type: 'boolean', default: false },
    repeats: { type: 'string', default: '9' },
    json: { type: 'string' },
    child: { type: 'string' },
  },
});

if (options.child) {
  const device = await openDevice({ adapter: options.adapter?.[0] });
  const rows: KernelRow[] = [];
  for (const c of options.all ? [...REQUIRED_CASES, ...STEP_CASES] : REQUIRED_CASES) {
    rows.push(...(await benchKernel(device, c, Number(options.repeats))));
  }
  const result: Result = { adapter: device.report.name, class: device.report.class, rows };
  leave(options.child, result);
}

const passed = ['--repeats', options.repeats, ...(options.all ? ['--all'] : [])];
const results = onAdapters<Result>(import.meta.url, options.adapter ?? ['lavapipe', 'swiftshader'], passed);

for (const { adapter, class: kind, rows } of results) {
  console.log(`\n${adapter} (${kind})`);
  console.log(
    `${'case'.padEnd(40)} ${'role'.padEnd(16)} ${'kernel'.padEnd(26)} GFLOP/s   plain ÷ chosen   slowest ÷ fastest run`,
  );
  for (const row of rows) {
    const spreadOf = (row.chosen.high / row.chosen.low).toFixed(2);
    console.log(
      `${row.case.padEnd(40)} ${row.role.padEnd(16)} ${row.kernel.padEnd(26)} ${row.gflops.toFixed(2).padStart(7)}   ${row.speedup.toFixed(2).padStart(14)}   ${spreadOf.padStart(10)}`,
    );
  }
}
if (options.json) writeFileSync(options.json, `${JSON.stringify(results, null, 1)}\n`);

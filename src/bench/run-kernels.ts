/**
 * `npm run bench:kernels [-- --adapter NAME]… [--all] [--repeats N] [--json FILE]`: the kernel benchmark in Node, a process for each
 * adapter (a process can load one driver). Prints a table, and JSON to a file.
 */

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { openDevice } from '../gpu/device.ts';
import { benchKernel, type KernelRow, REQUIRED_CASES, STEP_CASES } from './kernels.ts';

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
  writeFileSync(options.child, JSON.stringify(result));
  process.exit(0); // Dawn keeps the event loop alive
}

const folder = mkdtempSync(join(tmpdir(), 'hyspark-bench-'));
const results = (options.adapter ?? ['lavapipe', 'swiftshader']).map((adapter): Result => {
  const file = join(folder, `${adapter}.json`);
  const arguments_ = [...process.execArgv, fileURLToPath(import.meta.url), '--child', file, '--adapter', adapter];
  arguments_.push('--repeats', options.repeats, ...(options.all ? ['--all'] : []));
  const child = spawnSync(process.execPath, arguments_, { stdio: ['ignore', 'inherit', 'inherit'] });
  if (child.status !== 0) process.exit(child.status ?? 1);
  return JSON.parse(readFileSync(file, 'utf8')) as Result;
});

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

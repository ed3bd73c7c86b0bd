/** `npm run bench:kernels [-- --adapter NAME]… [--all] [--repeats N] [--json FILE]`: the kernel benchmark in Node. */

import { onAdapters } from './adapters.ts';
import { benchKernel, type KernelRow, REQUIRED_CASES, STEP_CASES } from './kernels.ts';

const results = await onAdapters(
  import.meta.url,
  async (device, { repeats, flags }) => {
    const rows: KernelRow[] = [];
    for (const c of flags.has('all') ? [...REQUIRED_CASES, ...STEP_CASES] : REQUIRED_CASES) {
      rows.push(...(await benchKernel(device, c, repeats)));
    }
    return rows;
  },
  ['all'],
);

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

/** `npm run bench:step [-- --preset NAME --batch N --adapter NAME --repeats N --json FILE]`: the step benchmark in Node. */

import { writeFileSync } from 'node:fs';
import { Command } from 'commander';
import { openDevice } from '../gpu/device.ts';
import type { PresetName } from '../models/hyspark/config.ts';
import { benchStep, type LayerTime } from './step.ts';

const options = new Command('bench:step')
  .option('--preset <name>', 'tiny, small or base', 'tiny')
  .option('--batch <n>', 'crops a step', '1')
  .option('--adapter <name>', "lavapipe or swiftshader instead of the system's first adapter")
  .option('--repeats <n>', 'steps measured', '15')
  .option('--json <file>', 'write the results there too')
  .parse()
  .opts<{ preset: string; batch: string; adapter?: string; repeats: string; json?: string }>();

const device = await openDevice({ adapter: options.adapter });
const r = await benchStep(device, options.preset as PresetName, Number(options.batch), Number(options.repeats));
console.log(`\n${r.preset}, batch ${r.batch}, on ${device.report.name} (${device.report.class})`);
console.log(
  `step          ${r.milliseconds.median.toFixed(1)} ms (${r.milliseconds.low.toFixed(1)} to ${r.milliseconds.high.toFixed(1)}), ${r.cropsPerSecond.toFixed(2)} crops a second`,
);
console.log(
  `JavaScript    ${r.javascript.median.toFixed(2)} ms a step (${r.javascript.low.toFixed(2)} to ${r.javascript.high.toFixed(2)})`,
);
console.log(
  `work          ${r.gflop.toFixed(2)} GFLOP at ${r.gflops.toFixed(2)} GFLOP/s, ${(100 * r.efficiency.median).toFixed(0)} % of the convolution's ${r.convolution.gflops.toFixed(2)} (${r.convolution.case})`,
);
console.log(
  `memory        ${(r.bytes.peak / 1048576).toFixed(1)} MiB planned, ${(r.bytes.activations / 1048576).toFixed(1)} of it activations`,
);
console.log(`launches      ${r.dispatches} in ${r.submissions} submissions a step`);
const print = (title: string, rows: readonly LayerTime[]) => {
  console.log(`\n${title.padEnd(44)}      ms   share  GFLOP/s`);
  for (const row of rows.slice(0, 24)) {
    console.log(
      `${row.layer.padEnd(44)} ${row.milliseconds.toFixed(2).padStart(7)}  ${(100 * row.share).toFixed(1).padStart(5)} %  ${row.gflops.toFixed(2).padStart(6)}`,
    );
  }
};
if (r.layers.length > 0) {
  print('layer', r.layers);
  print('kernel', r.kernels);
} else {
  console.log('\nNo table of layers: the device has no timestamps.');
}
if (options.json) writeFileSync(options.json, `${JSON.stringify({ adapter: device.report, result: r }, null, 1)}\n`);
process.exit(0); // Dawn keeps the event loop alive

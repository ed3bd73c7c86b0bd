/**
 * `npm run bench:encoder [-- --adapter NAME]… [--repeats N] [--json FILE]`: the tiny preset's encoder, forward and backward, over mask
 * ratios, after comparing it with the masked dense encoder. Sparse pays when the time falls with the visible share.
 */

import { BrickGrid } from '../bricks/grid.ts';
import { visibleCount } from '../bricks/mask.ts';
import { HysparkError } from '../errors.ts';
import type { Device } from '../gpu/device.ts';
import { PRESETS } from '../models/hyspark/config.ts';
import { onAdapters } from './adapters.ts';
import { difference, type EncoderTrial, encoderRun } from './masked-encoder.ts';
import { type Spread, spread } from './statistics.ts';

interface EncoderRow {
  readonly maskRatio: number;
  /** Visible patches / all patches. */
  readonly visible: number;
  /** Of a step, forward and backward, milliseconds. */
  readonly time: Spread;
}

const RATIOS = [0, 0.25, 0.5, 0.75, 0.9];

const trial = (maskRatio: number): EncoderTrial => ({ config: { ...PRESETS.tiny, maskRatio }, batch: 1, seed: 1 });

/** Throws unless features and gradients equal the masked dense encoder's. */
async function check(device: Device, maskRatio: number): Promise<void> {
  const runs = [
    await encoderRun(device, trial(maskRatio), 'sparse'),
    await encoderRun(device, trial(maskRatio), 'masked'),
  ] as const;
  for (const { plan } of runs) await plan.step();
  const [sparse, dense] = [await runs[0].results(), await runs[1].results()];
  const need = (what: string, worst: number, tolerance: number) => {
    if (worst <= tolerance) return;
    throw new HysparkError('gpu-validation', {
      doing: `Checking ${what} of the encoder at mask ratio ${maskRatio}`,
      got: `a relative difference of ${worst}`,
      need: `${tolerance}`,
    });
  };
  sparse.features.forEach((map, s) => {
    need(`x${s + 1}`, difference(map, dense.features[s]!), 1e-5);
  });
  for (const [name, gradient] of dense.gradients) {
    need(`d ${name}`, difference(sparse.gradients.get(name)!, gradient), 2e-4); // sums of thousands in another order
  }
  for (const run of runs) run.destroy();
}

async function measure(device: Device, repeats: number): Promise<EncoderRow[]> {
  for (const ratio of RATIOS) await check(device, ratio);
  const runs = [];
  for (const ratio of RATIOS) runs.push(await encoderRun(device, trial(ratio), 'whole'));
  const times = RATIOS.map(() => [] as number[]);
  for (let i = -1; i < repeats; i++) {
    for (const [n, { plan }] of runs.entries()) {
      const start = performance.now();
      await plan.step();
      if (i >= 0) times[n]!.push(performance.now() - start); // the first round warms up
    }
  }
  for (const run of runs) run.destroy();
  const { cells } = BrickGrid.ofCrop(PRESETS.tiny.crop);
  return RATIOS.map((maskRatio, n) => ({
    maskRatio,
    visible: visibleCount(cells, maskRatio) / cells,
    time: spread(times[n]!),
  }));
}

const results = await onAdapters(import.meta.url, (device, { repeats }) => measure(device, repeats));

for (const { adapter, class: kind, rows } of results) {
  console.log(`\n${adapter} (${kind})`);
  console.log('mask ratio   visible share   ms, median   slowest ÷ fastest   time ÷ dense   of fastest runs');
  for (const { maskRatio, visible, time } of rows) {
    const dense = rows[0]!.time;
    const columns = [
      maskRatio.toFixed(2).padStart(10),
      visible.toFixed(3).padStart(13),
      time.median.toFixed(1).padStart(10),
      (time.high / time.low).toFixed(2).padStart(17),
      (time.median / dense.median).toFixed(3).padStart(12),
      (time.low / dense.low).toFixed(3).padStart(15),
    ];
    console.log(columns.join('   '));
  }
}

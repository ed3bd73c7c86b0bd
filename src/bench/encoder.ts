/** The encoder over mask ratios. Sparse pays when the time falls with the visible share; the masked dense encoder is what it replaces. */

import { BrickGrid } from '../bricks/grid.ts';
import { visibleCount } from '../bricks/mask.ts';
import type { Device } from '../gpu/device.ts';
import { PRESETS } from '../models/hyspark/config.ts';
import { defineBenchmark, mustBeClose } from './benchmark.ts';
import { difference, type EncoderTrial, encoderRun } from './masked-encoder.ts';
import { numbers, oneOf, REPEATS, whole } from './parameters.ts';
import { ratios, spread } from './statistics.ts';

/** Throws unless features and gradients equal the masked dense encoder's. */
async function check(device: Device, trial: EncoderTrial): Promise<void> {
  const runs = [await encoderRun(device, trial, 'sparse'), await encoderRun(device, trial, 'masked')] as const;
  for (const { plan } of runs) await plan.step();
  const [sparse, dense] = [await runs[0].results(), await runs[1].results()];
  const at = `of the encoder at mask ratio ${trial.config.maskRatio}`;
  sparse.features.forEach((map, s) => {
    mustBeClose(`x${s + 1} ${at}`, difference(map, dense.features[s]!), 1e-5);
  });
  for (const [name, gradient] of dense.gradients) {
    // Sums of thousands in another order.
    mustBeClose(`d ${name} ${at}`, difference(sparse.gradients.get(name)!, gradient), 2e-4);
  }
  for (const run of runs) run.destroy();
}

export const ENCODER = defineBenchmark({
  name: 'encoder',
  title: 'Encoder sparsity',
  about:
    'The encoder, forward and backward, over mask ratios, beside the same layers on all patches with every result masked.',
  parameters: {
    ratios: numbers([0, 0.25, 0.5, 0.75, 0.9], [0, 0.99], false, 'shares of patches hidden, the first to compare with'),
    preset: oneOf(['tiny', 'small', 'base'], 'network'),
    batch: whole(1, [1, 64], 'crops'),
    repeats: REPEATS,
  },
  async run({ ratios: maskRatios, preset, batch, repeats }, { device: open, progress }) {
    const device = await open();
    const trial = (maskRatio: number): EncoderTrial => ({ config: { ...PRESETS[preset], maskRatio }, batch, seed: 1 });
    const [ofChecks, all] = [maskRatios.length, 2 * maskRatios.length];
    for (const [n, ratio] of maskRatios.entries()) {
      progress(n, all, `comparing with the masked dense encoder at mask ratio ${ratio}`);
      await check(device, trial(ratio));
    }
    // The dense one does the same work at every ratio: one stands for all.
    const runs = [];
    for (const ratio of maskRatios) {
      runs.push(await encoderRun(device, trial(ratio), 'whole'), await encoderRun(device, trial(ratio), 'sparse'));
    }
    runs.push(await encoderRun(device, trial(maskRatios.at(-1)!), 'masked'));
    const times = runs.map(() => [] as number[]);
    for (let i = -1; i < repeats; i++) {
      progress(ofChecks * (1 + (i + 1) / (repeats + 1)), all, i < 0 ? 'warming up' : 'timing');
      for (const [n, { plan }] of runs.entries()) {
        const start = performance.now();
        await plan.step();
        if (i >= 0) times[n]!.push(performance.now() - start);
      }
    }
    for (const run of runs) run.destroy();
    const { cells } = BrickGrid.ofCrop(PRESETS[preset].crop);
    const dense = times.at(-1)!;
    const rows = maskRatios.map((ratio, n) => {
      const [wholeTimes, stages] = [times[2 * n]!, times[2 * n + 1]!];
      return {
        name: `mask ratio ${ratio}`,
        visible: (100 * visibleCount(cells, ratio)) / cells,
        time: spread(wholeTimes),
        speedup: ratios(times[0]!, wholeTimes),
        stages: spread(stages),
        dense: spread(dense),
        denseSpeedup: ratios(dense, stages),
      };
    });
    const share = (n: number, other: readonly number[]) => {
      const { median: y, low, high } = ratios(times[n]!, other);
      return { x: rows[n >> 1]!.visible / 100, y, low, high };
    };
    return {
      tables: [
        {
          name: 'encoder',
          columns: [
            { key: 'name', label: 'hidden' },
            { key: 'visible', label: 'visible', unit: '%' },
            { key: 'time', label: 'encoder', unit: 'ms' },
            { key: 'speedup', label: `ratio ${maskRatios[0]} ÷ this`, unit: '×' },
            { key: 'stages', label: 'stages alone', unit: 'ms' },
            { key: 'dense', label: 'masked dense stages', unit: 'ms' },
            { key: 'denseSpeedup', label: 'masked dense ÷ stages', unit: '×' },
          ],
          rows,
        },
      ],
      charts: [
        {
          kind: 'lines',
          title: 'Time over the visible share',
          x: 'visible share of the patches',
          y: `time ÷ what it is compared with`,
          series: [
            { name: `encoder ÷ itself at ratio ${maskRatios[0]}`, points: rows.map((_, n) => share(2 * n, times[0]!)) },
            { name: 'stages ÷ masked dense stages', points: rows.map((_, n) => share(2 * n + 1, dense)) },
            {
              name: 'the visible share itself',
              guide: true,
              points: [
                { x: 0, y: 0 },
                { x: 1, y: 1 },
              ],
            },
          ],
        },
      ],
      notes: [
        'Before timing, features (10⁻⁵) and all gradients (2 · 10⁻⁴) were compared with the masked dense encoder at every ratio.',
        'The encoder is the five convolutional stages and the transformer; the masked dense encoder is the stages alone. Times are from submitting to the result, all in turns.',
      ],
    };
  },
});

/** A training step of PyTorch as reports of the benchmark `step`, one for each way to take it: what `--compare` lays beside the engine's. */

import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { BrickGrid } from '../../bricks/grid.ts';
import { visibleCount } from '../../bricks/mask.ts';
import type { AdapterReport } from '../../gpu/adapter.ts';
import { PRESETS } from '../../models/hyspark/config.ts';
import { type BenchReport, mustBeClose, type Parametrised, parameterTexts, parseParameters } from '../benchmark.ts';
import { currentCommit } from '../node/commit.ts';
import { BATCH, oneOf, PRESET, REPEATS, someOf } from '../parameters.ts';
import { spread } from '../statistics.ts';
import { STEP, WHOLE_STEP, wholeStep } from '../step.ts';
import { type GoldenErrors, judge } from './judge.ts';
import { runScript } from './pytorch.ts';

/** Relative difference of the loss to that of plain float32 on the same device, allowed before timing. */
const LOSS_TOLERANCES = { float32: 1e-5, tf32: 1e-2, mixed: 1e-2 } as const;
const PRECISIONS = ['float32', 'tf32', 'mixed'] as const;

/** The set that the project carries; it is compared on the device that will be timed. */
const GOLDEN = { folder: fileURLToPath(new URL('../../testing/golden/data', import.meta.url)), set: 'tiny_synth' };

const PARAMETERS = {
  preset: PRESET,
  batch: BATCH,
  repeats: REPEATS,
  precisions: someOf(
    PRECISIONS,
    ['float32'],
    'in turns: float32; on a GPU tf32 (TF32 products), mixed (float16 by autocast) too',
  ),
  layouts: someOf(
    ['contiguous', 'channels_last'],
    ['contiguous'],
    'contiguous, channels_last: memory formats of weights and maps',
  ),
  compile: someOf(['off', 'on'], ['off'], 'off, on: torch.compile, of PyTorch 2'),
  unused: oneOf(['off', 'on'], 'with the layers of the reference whose results nothing reads'),
};
export const PYTORCH_STEP: Parametrised<typeof PARAMETERS> = { name: STEP.name, parameters: PARAMETERS };

/** A way to take the step, measured. */
interface Variant {
  readonly precision: (typeof PRECISIONS)[number];
  readonly layout: string;
  readonly compile: string;
  /** Relative difference to the loss of plain float32. */
  readonly loss: number;
  readonly milliseconds: readonly number[];
  /** MiB at each step's peak; none without a GPU. */
  readonly memory: readonly number[];
}

/** What `step.py` prints. */
interface Measured {
  readonly place: { readonly device: string; readonly class: AdapterReport['class']; readonly host: string };
  readonly errors: GoldenErrors;
  readonly variants: readonly Variant[];
}

/**
 * @param python an interpreter that has PyTorch
 * @throws HysparkError where a parameter is wrong, Python fails, or a result is not close to its reference
 */
export async function measurePyTorch(given: Readonly<Record<string, string>>, python: string): Promise<BenchReport[]> {
  const start = performance.now();
  const texts = parameterTexts(PYTORCH_STEP, given);
  const { preset, unused, ...values } = parseParameters(PYTORCH_STEP, texts);
  const config = PRESETS[preset];
  const visible = visibleCount(BrickGrid.ofCrop(config.crop).cells, config.maskRatio);
  const request = { ...values, config: { ...config, visible }, unused: unused === 'on', golden: GOLDEN };
  const { place, errors, variants } = await runScript<Measured>(python, 'step.py', [], request);
  const compared = judge(GOLDEN.set, 'tiny', errors);
  const seconds = (performance.now() - start) / 1000;
  return variants.map(({ precision, layout, compile, loss, milliseconds, memory }) => {
    mustBeClose(`PyTorch's loss in ${precision}`, loss, LOSS_TOLERANCES[precision]);
    const peak = memory.length > 0 ? Math.max(...memory) : undefined;
    const how = [precision, layout === 'contiguous' ? '' : 'channels last', compile === 'on' ? 'compiled' : ''];
    return {
      benchmark: STEP.name,
      parameters: { ...texts, precisions: precision, layouts: layout, compile },
      adapter: { name: place.device, class: place.class },
      host: [place.host, ...how.filter(Boolean)].join(', '),
      processors: availableParallelism(),
      commit: currentCommit(),
      date: new Date().toISOString(),
      seconds,
      tables: [
        {
          name: WHOLE_STEP.table,
          columns: WHOLE_STEP.columns,
          rows: [wholeStep(spread(milliseconds), values.batch, peak)],
        },
      ],
      charts: [],
      notes: [
        `Before timing, ${compared} comparisons with the golden set ${GOLDEN.set} passed on this device, and the loss in ${precision} was compared with float32’s (found ${loss.toExponential(1)}, allowed ${LOSS_TOLERANCES[precision].toExponential(0)}).`,
        'A step is timed from crops and masks in the host’s memory to its loss in Python: upload, forward, backward, clipping, AdamW.',
        `${unused === 'on' ? 'With' : 'Without'} the layers of the reference whose results nothing reads; the engine has none of them.`,
      ],
    };
  });
}

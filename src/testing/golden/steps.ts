/** Compares a sequence of AdamW steps: losses, gradient norms, and the parameters after the first and the last step. */

import { checksumError } from './compare.ts';
import type { Checksum, PretrainSet, Steps } from './manifest.ts';
import type { GoldenModel } from './model.ts';
import type { SetReport } from './report.ts';
import { NEVER_MOVED, STEPS } from './tolerances.ts';

export async function compareSteps(
  model: GoldenModel,
  set: PretrainSet,
  steps: Steps,
  smooth: boolean,
  report: SetReport,
): Promise<void> {
  const prefix = smooth ? 'smooth steps' : 'steps';
  const tolerance = smooth ? STEPS.smooth : STEPS.plain;
  model.fill(smooth);
  for (const [n, visible] of set.stepVisible.entries()) {
    const later = n === 0 ? 0 : 1;
    const which = later ? 'later' : 'first';
    const rates = { step: n + 1, learningRate: steps.lr, weightDecay: steps.weight_decay };
    const { loss, gradientNorm } = await model.step(visible, rates);
    const at = `step ${n + 1}`;
    report.add(`${prefix}: loss, ${which}`, tolerance.losses[later], Math.abs(loss / steps.loss[n]! - 1), at);
    report.add(
      `${prefix}: gradient norm, ${which}`,
      tolerance.norms[later],
      Math.abs(gradientNorm / steps.grad_norm[n]! - 1),
      at,
    );
    const after = (steps as unknown as Record<string, Record<string, Checksum> | undefined>)[`after_step_${n + 1}`];
    if (after) await compareParameters(model, set, after, n + 1, smooth, report);
  }
}

async function compareParameters(
  model: GoldenModel,
  set: PretrainSet,
  after: Readonly<Record<string, Checksum>>,
  step: number,
  smooth: boolean,
  report: SetReport,
): Promise<void> {
  const tolerance = smooth ? STEPS.smooth : STEPS.plain;
  const later = step === 1 ? 0 : 1;
  const prefix = `${smooth ? 'smooth steps' : 'steps'}: after ${step},`;
  for (const [key, checksum] of Object.entries(after)) {
    if (set.cancelling.has(key)) continue; // noise that AdamW turns into steps
    const entry = model.entries.get(key);
    if (!entry) {
      report.add(`${prefix} parameters`, 0, Number.NaN, `${key}: not a key of the model`);
      continue;
    }
    if (!entry.spec || key.endsWith('pos_embed')) continue; // a count of passes, and a constant
    const got = entry.tensor ? await model.value(entry) : model.filled(key, entry.shape, smooth)!;
    const [group, most] =
      entry.tensor !== entry.spec.tensor || !entry.tensor
        ? ['never moved', NEVER_MOVED]
        : key.endsWith('running_mean')
          ? ['running means', tolerance.runningMeans[later]]
          : key.endsWith('running_var')
            ? ['running variances', tolerance.parameters[later]]
            : ['parameters', tolerance.parameters[later]];
    report.add(
      `${prefix} ${group}`,
      most as number,
      checksumError(got, checksum, smooth),
      key,
      2 + checksum.first4.length,
    );
  }
}

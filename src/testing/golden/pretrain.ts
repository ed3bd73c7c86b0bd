/** Compares the network with one pre-training set of golden data. */

import type { Device } from '../../gpu/device.ts';
import type { Savings } from '../../models/hyspark/hyspark.ts';
import {
  activationGroup,
  checksumError,
  gradientGroup,
  largest,
  normError,
  rmsError,
  sampleError,
  sumError,
} from './compare.ts';
import type { Expected, Pass, PretrainSet } from './manifest.ts';
import { GoldenModel } from './model.ts';
import { SetReport } from './report.ts';
import { compareSteps } from './steps.ts';
import { CANCELLING, PRETRAIN, RUNNING_STATISTICS } from './tolerances.ts';

/** Runs a set on a device. @param savings shortcuts to take or not; otherwise as the model decides. */
export async function comparePretrain(device: Device, set: PretrainSet, savings?: Savings): Promise<SetReport> {
  const report = new SetReport(set.name);
  const model = await GoldenModel.open(device, set, savings);
  try {
    if (set.lossEval !== undefined) {
      model.fill(false);
      const loss = await model.evaluate();
      report.add('loss_eval', PRETRAIN[set.scale].loss, Math.abs(loss / set.lossEval - 1), 'loss_eval');
    }
    await comparePass(model, set, set.plain, false, report);
    if (set.smooth) await comparePass(model, set, set.smooth, true, report);
    if (set.plain.steps) await compareSteps(model, set, set.plain.steps, false, report);
    if (set.smooth?.steps) await compareSteps(model, set, set.smooth.steps, true, report);
  } finally {
    model.destroy();
  }
  return report;
}

async function comparePass(model: GoldenModel, set: PretrainSet, pass: Pass, smooth: boolean, report: SetReport) {
  const tolerance = PRETRAIN[set.scale];
  const prefix = smooth ? 'smooth ' : '';
  model.fill(smooth);
  const { loss } = await model.step(set.visible);
  report.add(`${prefix}loss`, tolerance.loss, Math.abs(loss / pass.loss - 1), 'loss');

  for (const [name, expected] of pass.activations) {
    const group = `${prefix}${activationGroup(name)}`;
    if (name === 'pos_embed') {
      const key = [...model.entries.keys()].find((k) => k.endsWith('pos_embed'))!;
      compareActivation(report, group, name, await model.value(model.entries.get(key)!), expected, tolerance);
    } else if (model.activations.has(name)) {
      const got = await model.activation(name, set.visible);
      compareActivation(report, group, name, got, expected, tolerance);
    } else {
      report.leaveOut(group, 'not computed', 'nothing reads it');
    }
  }

  for (const [key, expected] of pass.runningStatistics) {
    const entry = model.entries.get(key)!;
    const got = entry.tensor ? await model.value(entry) : model.filled(key, entry.shape, smooth)!;
    const group = `${prefix}running statistics`;
    const error = 'first4' in expected ? checksumError(got, expected, true) : sampleError(got, expected);
    report.add(
      group,
      RUNNING_STATISTICS,
      error,
      key,
      'first4' in expected ? 2 + expected.first4.length : counted(expected),
    );
  }
  await compareGradients(model, set, pass, smooth, report);
}

function compareActivation(
  report: SetReport,
  group: string,
  name: string,
  got: Float32Array,
  expected: Expected,
  tolerance: { readonly activations: number; readonly activationNorms: number },
) {
  report.add(group, tolerance.activations, sampleError(got, expected), name, counted(expected));
  if ('values' in expected) return;
  report.add(`${group}: norms`, tolerance.activationNorms, normError(got, expected.l2), name);
  report.add(`${group}: norms`, tolerance.activationNorms, sumError(got, expected), name);
}

async function compareGradients(model: GoldenModel, set: PretrainSet, pass: Pass, smooth: boolean, report: SetReport) {
  const tolerance = PRETRAIN[set.scale];
  const kind = smooth ? 'smooth gradients' : 'gradients';
  const most = smooth ? tolerance.smoothGradients : tolerance.plainGradients;
  const mostNorm = smooth ? tolerance.smoothGradientNorms : tolerance.plainGradientNorms;
  // Plain gradients of the small sets are compared in L2, everything else by the largest difference.
  const error = !smooth && set.scale !== 'base' ? rmsError : sampleError;
  let [largestGradient, largestCancelling] = [0, 0];
  let worstCancelling = '';
  for (const [key, entry] of model.entries) {
    if (set.noGradient.has(key)) {
      const trained = entry.tensor?.kind === 'parameter';
      report.add(`${kind}: none`, 0, trained ? 1 : 0, key);
      continue;
    }
    const expected = pass.gradients.get(key);
    if (entry.tensor?.kind !== 'parameter') {
      if (expected) report.add(`${kind}: none`, 0, Number.NaN, key); // a gradient that we do not have
      continue;
    }
    const got = await model.gradient(entry);
    const size = largest(got);
    if (set.zeroGradient.has(key)) {
      report.add(`${kind}: zero`, 0, size, key, got.length);
      continue;
    }
    if (set.cancelling.has(key)) {
      if (!(size <= largestCancelling)) [largestCancelling, worstCancelling] = [size, key];
      continue;
    }
    largestGradient = Math.max(largestGradient, size);
    const group = `${kind}: ${gradientGroup(key)}`;
    const whole = pass.wholeGradients.get(key);
    if (whole) report.add(group, most, sampleError(got, whole), key, got.length);
    if (!expected || 'values' in expected) {
      if (!whole) report.add(group, most, Number.NaN, `${key}: not in the set`);
      continue;
    }
    report.add(group, most, error(got, expected), key, counted(expected));
    report.add(`${group}: norms`, mostNorm, normError(got, expected.l2), key);
    report.add(`${group}: norms`, mostNorm, sumError(got, expected), key);
  }
  report.add(
    `${kind}: cancelling`,
    CANCELLING,
    largestCancelling / largestGradient,
    worstCancelling,
    set.cancelling.size,
  );
}

function counted(expected: Expected): number {
  return 'values' in expected ? expected.values.length : expected.index.length;
}

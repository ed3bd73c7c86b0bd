/** Whether PyTorch's model computes what the golden data holds: the errors that `golden.py` finds, against the engine's own tolerances. */

import { CANCELLING, PRETRAIN, RUNNING_STATISTICS, type Scale, STEPS } from '../../testing/golden/tolerances.ts';
import { mustBeClose } from '../benchmark.ts';

/** The worst error of each group of comparisons; `count` is how many there were. */
export type GoldenErrors = Readonly<
  Record<string, { readonly error: number; readonly at: string; readonly count: number }>
>;

function tolerances(scale: Scale): Readonly<Record<string, number>> {
  const t = PRETRAIN[scale];
  const common = {
    loss: t.loss,
    activations: t.activations,
    'activations: norms': t.activationNorms,
    'running statistics': RUNNING_STATISTICS,
    'gradients: presence': 0,
    'gradients: zero': 0,
    'gradients: cancelling': CANCELLING,
  };
  const smooth = Object.fromEntries(Object.entries(common).map(([group, most]) => [`smooth ${group}`, most]));
  return {
    ...common,
    ...smooth,
    gradients: t.plainGradients,
    'gradients: norms': t.plainGradientNorms,
    'smooth gradients': t.smoothGradients,
    'smooth gradients: norms': t.smoothGradientNorms,
    'smooth steps: losses': STEPS.smooth.losses[1],
    'smooth steps: gradient norms': STEPS.smooth.norms[1],
    'smooth steps: parameters': STEPS.smooth.parameters[1],
  };
}

/**
 * @returns how many comparisons passed
 * @throws HysparkError naming the first group that is not close enough, or that nothing is known of
 */
export function judge(set: string, scale: Scale, errors: GoldenErrors): number {
  const most = tolerances(scale);
  for (const needed of ['loss', 'activations', 'gradients', 'smooth gradients']) {
    if (!(needed in errors)) throw new Error(`golden.py compared no ${needed}`);
  }
  for (const [group, { error, at }] of Object.entries(errors)) {
    mustBeClose(`PyTorch's ${group} with the golden set ${set} (worst at ${at})`, error, most[group] ?? Number.NaN);
  }
  return Object.values(errors).reduce((sum, { count }) => sum + count, 0);
}

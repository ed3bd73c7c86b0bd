/**
 * Learning rate and weight decay of a run, by iteration. Source: the reference's recipe (MODEL.md, "Recipe"); numbers in
 * golden/schedule.json.
 */

import { HysparkError } from '../errors.ts';

export interface Schedule {
  /** Optimiser steps of the whole run. */
  readonly iterations: number;
  /** Steps of linear warm-up, below `iterations`. */
  readonly warmup: number;
  readonly peakLearningRate: number;
  readonly weightDecay: number;
  readonly finalWeightDecay: number;
}

/** Share of the peak at which warm-up starts, and at which the cosine ends. */
const FIRST = 0.005;
const LAST = 0.001;

/** The recipe for a run of so many steps: 40 % warm-up to 1e-4, weight decay 0.04 → 0.2. */
export function recipe(iterations: number): Schedule {
  return {
    iterations,
    warmup: Math.round(0.4 * iterations),
    peakLearningRate: 1e-4,
    weightDecay: 0.04,
    finalWeightDecay: 0.2,
  };
}

/**
 * Rates of step `iteration`, counted from 0. Warm-up is linear from 0.5 % of the peak; then a cosine falls to 0.1 % at the last step;
 * weight decay goes from start to end by a cosine over the whole run. Throws `bad-argument` for a step outside the run.
 */
export function scheduleAt(schedule: Schedule, iteration: number): { learningRate: number; weightDecay: number } {
  const { iterations, warmup, peakLearningRate, weightDecay, finalWeightDecay } = schedule;
  const inside = Number.isInteger(iteration) && iteration >= 0 && iteration < iterations;
  if (!inside || !(warmup >= 0 && warmup < iterations)) {
    throw new HysparkError('bad-argument', {
      doing: 'Learning-rate schedule',
      got: `step ${iteration} of ${iterations}, ${warmup} of them warm-up`,
      need: 'a step of the run, and a warm-up shorter than it',
    });
  }
  const last = iterations - 1;
  // 0 at the first step of the fall, 1 at the last; a fall of one step is at its end
  const fallen = last > warmup ? (iteration - warmup) / (last - warmup) : 1;
  const passed = last > 0 ? iteration / last : 1;
  const share = iteration < warmup ? FIRST + ((1 - FIRST) * iteration) / warmup : LAST + (1 - LAST) * half(fallen);
  return {
    learningRate: peakLearningRate * share,
    weightDecay: finalWeightDecay + (weightDecay - finalWeightDecay) * half(passed),
  };
}

/** Half a cosine: 1 at 0, 0 at 1. */
function half(t: number): number {
  return 0.5 + 0.5 * Math.cos(Math.PI * t);
}

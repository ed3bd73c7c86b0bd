/** A run's configuration: defaults by preset, and every number checked before anything is built. */

import { HysparkError } from '../errors.ts';
import { checkConfig, PRESETS, type PresetName } from '../models/hyspark/config.ts';
import type { Schedule } from './schedule.ts';
import type { RunConfig, RunOptions } from './types.ts';

/** Small networks take, and need, higher rates than the reference's, which belongs to `base`. */
const RECIPES: Record<PresetName, { readonly learningRate: number; readonly warmup: number }> = {
  tiny: { learningRate: 2e-3, warmup: 0.1 },
  small: { learningRate: 5e-4, warmup: 0.4 },
  base: { learningRate: 1e-4, warmup: 0.4 },
};

const DEFAULT_STEPS = 300;

/**
 * @param trainingScans how many scans are trained on, which `epochs` needs; a configuration with `epochs` that is only
 *   planned may leave it out.
 * @throws HysparkError `bad-argument` naming the option, what came and what is needed
 */
export function resolveConfig(options: RunOptions, trainingScans = 1): RunConfig {
  if (options.model) needKnown(options.model, Object.keys(PRESETS.tiny), 'model.');
  const preset = options.preset ?? 'tiny';
  oneOf('preset', preset, Object.keys(PRESETS) as PresetName[]);
  const model = checkConfig({ ...PRESETS[preset], ...options.model });
  const batch = whole('batch', options.batch ?? 2, 1);
  const accumulate = whole('accumulate', options.accumulate ?? 1, 1);
  const cropsPerScan = whole('cropsPerScan', options.cropsPerScan ?? 4, 1);
  if (options.steps !== undefined && options.epochs !== undefined) {
    fail('steps and epochs', `${options.steps} and ${options.epochs}`, 'one of them');
  }
  const cropsPerEpoch = trainingScans * cropsPerScan;
  const steps =
    options.epochs === undefined
      ? whole('steps', options.steps ?? DEFAULT_STEPS, 1)
      : Math.ceil((positive('epochs', options.epochs) * cropsPerEpoch) / (batch * accumulate));
  const evaluateEvery = whole('evaluateEvery', options.evaluateEvery ?? Math.max(5, Math.round(steps / 20)), 1);
  const seed = whole('seed', options.seed ?? 1, 0);
  if (seed > 0xffffffff) fail('seed', seed, 'below 2³²');
  const config: RunConfig = {
    preset,
    model,
    batch,
    accumulate,
    steps,
    learningRate: positive('learningRate', options.learningRate ?? RECIPES[preset].learningRate),
    warmup: share('warmup', options.warmup ?? RECIPES[preset].warmup),
    weightDecay: pair(options.weightDecay ?? [0.04, 0.2]),
    clip: positive('clip', options.clip ?? 5),
    seed,
    cropsPerScan,
    flips: flips(options.flips ?? [0.2, 0.2, 0.1]),
    heldOut: share('heldOut', options.heldOut ?? 0.1),
    evaluationCrops: whole('evaluationCrops', options.evaluationCrops ?? 8, 1),
    evaluateEvery,
    previewEvery: whole('previewEvery', options.previewEvery ?? evaluateEvery, 1),
    checkpointEvery: whole('checkpointEvery', options.checkpointEvery ?? evaluateEvery, 1),
    keep: whole('keep', options.keep ?? 2, 1),
    recompute: options.recompute ?? false,
    precision: oneOf('precision', options.precision ?? 'float32', ['float32', 'mixed']),
  };
  needKnown(options, [...Object.keys(config), 'epochs'], '');
  return config;
}

/** The schedule of a run. */
export function scheduleOf({ steps, learningRate, warmup, weightDecay }: RunConfig): Schedule {
  return {
    iterations: steps,
    warmup: Math.min(steps - 1, Math.round(warmup * steps)),
    peakLearningRate: learningRate,
    weightDecay: weightDecay[0],
    finalWeightDecay: weightDecay[1],
  };
}

/** A name that is written wrongly would otherwise leave the default in place unnoticed. */
function needKnown(options: object, names: readonly string[], prefix: string): void {
  const unknown = Object.keys(options).find((name) => !names.includes(name));
  if (unknown !== undefined) fail(prefix + unknown, 'a name that is none', `one of ${names.join(', ')}`);
}

function whole(name: string, value: number, least: number): number {
  return Number.isSafeInteger(value) && value >= least ? value : fail(name, value, `a whole number from ${least}`);
}

function positive(name: string, value: number): number {
  return Number.isFinite(value) && value > 0 ? value : fail(name, value, 'a number above 0');
}

function share(name: string, value: number): number {
  return value >= 0 && value < 1 ? value : fail(name, value, '0 up to, not including, 1');
}

function oneOf<T extends string>(name: string, value: T, choices: readonly T[]): T {
  return choices.includes(value) ? value : fail(name, value, `one of ${choices.join(', ')}`);
}

function pair(value: readonly [number, number]): readonly [number, number] {
  const good = value.length === 2 && value.every((v) => Number.isFinite(v) && v >= 0);
  return good ? value : fail('weightDecay', value, 'two numbers from 0');
}

function flips(value: readonly [number, number, number]): readonly [number, number, number] {
  const good = value.length === 3 && value.every((p) => p >= 0 && p <= 1);
  return good ? value : fail('flips', value, 'three probabilities');
}

function fail(name: string, got: unknown, need: string): never {
  throw new HysparkError('bad-argument', { doing: `Option "${name}"`, got: String(got), need });
}

/** Compares what needs no network: hash values, the schedule, state-dict keys; and the optimiser alone. */

import { toFloat32 } from '../../formats/tensor.ts';
import type { Device } from '../../gpu/device.ts';
import { PRESETS } from '../../models/hyspark/config.ts';
import { HySparK } from '../../models/hyspark/hyspark.ts';
import { ENCODER_PREFIX, referenceEntries, referenceShape } from '../../models/hyspark/reference.ts';
import { Declarations } from '../../nn/declare.ts';
import { adamw, adamwSchedule, gradientNorm } from '../../ops/adamw.ts';
import { fnv1a32, goldenWords } from '../../random.ts';
import { compile } from '../../tape/plan.ts';
import { Tape } from '../../tape/tape.ts';
import { Variables } from '../../tape/variables.ts';
import { type Schedule, scheduleAt } from '../../train/schedule.ts';
import { sampleError } from './compare.ts';
import type { GoldenFolder } from './manifest.ts';
import { SetReport } from './report.ts';
import { ADAMW, SCHEDULE } from './tolerances.ts';
import { goldenWeight } from './weights.ts';

export interface HashValue {
  readonly name: string;
  readonly shape: number[];
  readonly seed: number;
  readonly i: number;
  readonly fnv1a32: number;
  readonly word: number;
  readonly value: number;
  /** The float32's bits. */
  readonly bits: number;
}

/** Hash, words and float32 values, bit for bit. */
export function compareHashValues(set: string, rows: readonly HashValue[]): SetReport {
  const report = new SetReport(set);
  for (const { name, shape, seed, i, fnv1a32: hash, word, bits } of rows) {
    const value = goldenWeight(name, shape, seed)?.[i] ?? Number.NaN;
    const equal = fnv1a32(name) === hash && goldenWords(name, seed)(i) === word && floatBits(value) === bits;
    report.add('words and values', 0, equal ? 0 : 1, `${name} ${i}`, 3);
  }
  return report;
}

function floatBits(value: number): number {
  return new Uint32Array(Float32Array.of(value).buffer)[0]!;
}

export interface RawSchedule {
  readonly peak_lr: number;
  readonly wd: number;
  readonly wd_end: number;
  readonly warmup_iterations: number;
  readonly iterations: number;
  readonly values: readonly { readonly it: number; readonly lr: number; readonly wd: number }[];
}

export function compareSchedule(set: string, raw: RawSchedule): SetReport {
  const report = new SetReport(set);
  const schedule: Schedule = {
    iterations: raw.iterations,
    warmup: raw.warmup_iterations,
    peakLearningRate: raw.peak_lr,
    weightDecay: raw.wd,
    finalWeightDecay: raw.wd_end,
  };
  for (const { it, lr, wd } of raw.values) {
    const { learningRate, weightDecay } = scheduleAt(schedule, it);
    report.add('learning rate', SCHEDULE, Math.abs(learningRate / lr - 1), `step ${it}`);
    report.add('weight decay', SCHEDULE, Math.abs(weightDecay / wd - 1), `step ${it}`);
  }
  return report;
}

export interface RawKeys {
  readonly pretrain: Readonly<Record<string, number[]>>;
  readonly encoder_only: Readonly<Record<string, number[]>>;
  readonly config_entry: Readonly<Record<string, unknown>>;
}

/** Keys, their order and shapes, of the full-size network and of its encoder alone. */
export function compareKeys(set: string, raw: RawKeys): SetReport {
  const report = new SetReport(set);
  const config = {
    ...PRESETS.base,
    crop: raw.config_entry['sparse_encoder.input_size'] as number,
    width: raw.config_entry['dense_decoder.width'] as number,
    maskRatio: raw.config_entry.mask_ratio as number,
  };
  const declare = new Declarations(new Variables());
  new HySparK(declare, config);
  const keys = referenceEntries(config).map(({ key, name }) => {
    const shape = name === undefined ? [] : referenceShape(key, declare.specs.get(name)!);
    return [key, `[${shape}]`] as const;
  });
  const compare = (group: string, ours: readonly (readonly [string, string])[], theirs: Record<string, number[]>) => {
    const expected = Object.entries(theirs).map(([key, shape]) => [key, `[${shape}]`] as const);
    for (let i = 0; i < Math.max(ours.length, expected.length); i++) {
      const same = ours[i]?.join() === expected[i]?.join();
      report.add(group, 0, same ? 0 : 1, `${expected[i]} (ours: ${ours[i]})`);
    }
  };
  compare('full model: keys, order, shapes', keys, raw.pretrain);
  const encoder = keys.filter(([key]) => key.startsWith(ENCODER_PREFIX));
  compare(
    'encoder alone: keys, order, shapes',
    encoder.map(([key, shape]) => [key.slice(ENCODER_PREFIX.length), shape]),
    raw.encoder_only,
  );
  report.leaveOut('segmentation keys', 'not yet', 'comes with fine-tuning');
  return report;
}

export interface RawAdamw {
  readonly file: string;
  readonly betas: readonly [number, number];
  readonly eps: number;
  readonly clip: number;
  readonly no_gradient: readonly string[];
  readonly steps: readonly { readonly lr: number; readonly weight_decay: number; readonly grad_norm: number }[];
}

/** The optimiser on given gradients. Parameters without one are not declared to it, as in the model. */
export async function compareAdamw(
  device: Device,
  folder: GoldenFolder,
  set: string,
  raw: RawAdamw,
): Promise<SetReport> {
  const report = new SetReport(set);
  const tensors = await folder.tensors(raw.file);
  const starts = [...tensors].filter(([key]) => key.startsWith('start/')).map(([key]) => key.slice('start/'.length));
  const values = (key: string) => toFloat32(tensors.get(key)!);
  const variables = new Variables(device.limits.maxStorageBufferBindingSize);
  const trained = starts.filter((name) => !raw.no_gradient.includes(name));
  const parameters = trained.map((name) => variables.parameter(name, tensors.get(`start/${name}`)!.shape));
  const tape = new Tape(device.report);
  const schedule = tape.input('schedule', [4]);
  const chunks = variables.chunks();
  const options = { betas: raw.betas, epsilon: raw.eps };
  const norm = tape.report(gradientNorm(tape, chunks, raw.clip));
  adamw(tape, chunks, norm, schedule, options);
  await variables.allocate(device, true);
  const plan = await compile(device, tape, variables);
  for (const parameter of parameters) variables.write(parameter, values(`start/${parameter.name}`));
  for (const [n, { lr, weight_decay, grad_norm }] of raw.steps.entries()) {
    for (const parameter of parameters) {
      variables.write(variables.gradientOf(parameter), values(`grad${n}/${parameter.name}`));
    }
    plan.write(schedule, adamwSchedule(n + 1, lr, weight_decay, options));
    const [reported] = await plan.step();
    report.add('gradient norm', ADAMW, Math.abs(reported![0]! / grad_norm - 1), `step ${n + 1}`);
    for (const parameter of parameters) {
      const expected = { values: values(`after${n}/${parameter.name}`) };
      const at = `${parameter.name} after step ${n + 1}`;
      report.add('parameters', ADAMW, sampleError(await variables.read(parameter), expected), at, parameter.size);
    }
  }
  for (const name of raw.no_gradient) {
    const still = sampleError(values(`start/${name}`), { values: values(`after${raw.steps.length - 1}/${name}`) });
    report.add('without gradient: stays', 0, still, name);
  }
  plan.destroy();
  variables.destroy();
  return report;
}

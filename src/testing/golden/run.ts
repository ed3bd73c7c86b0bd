/** Runs golden sets: each manifest is recognised by what it holds, never by its name. */

import type { Device } from '../../gpu/device.ts';
import type { Savings } from '../../models/hyspark/hyspark.ts';
import { type GoldenFolder, type RawPretrain, readPretrainSet } from './manifest.ts';
import { comparePretrain } from './pretrain.ts';
import { type Row, SetReport } from './report.ts';
import {
  compareAdamw,
  compareHashValues,
  compareKeys,
  compareSchedule,
  type HashValue,
  type RawAdamw,
  type RawKeys,
  type RawSchedule,
} from './tables.ts';

/** The loading chain's comparison, `comparePreprocess` of `golden-preprocess.ts`: rows of one set. */
export type ComparePreprocess = (set: string) => Promise<readonly Row[]>;

export interface GoldenOptions {
  /** Opened when the first set needs it. */
  readonly device: () => Promise<Device>;
  readonly preprocess?: ComparePreprocess;
  /** The model's shortcuts; otherwise as it decides. */
  readonly savings?: Savings;
}

/** One set's rows. Throws when the manifest is of no known kind. */
export async function runGoldenSet(folder: GoldenFolder, set: string, options: GoldenOptions): Promise<readonly Row[]> {
  const manifest = await folder.json(`${set}.json`);
  const has = (...fields: string[]) => isRecord(manifest) && fields.every((field) => field in manifest);
  if (Array.isArray(manifest) && manifest.every((row) => isRecord(row) && 'fnv1a32' in row)) {
    return compareHashValues(set, manifest as HashValue[]).rows;
  }
  if (has('warmup_iterations', 'values')) return compareSchedule(set, manifest as RawSchedule).rows;
  if (has('pretrain', 'encoder_only')) return compareKeys(set, manifest as RawKeys).rows;
  if (has('no_gradient', 'steps')) {
    return (await compareAdamw(await options.device(), folder, set, manifest as RawAdamw)).rows;
  }
  if (has('cases', 'transforms')) {
    return options.preprocess?.(set) ?? later(set, 'the loading chain comes with its own part');
  }
  if (has('losses', 'config')) return later(set, 'segmentation comes with fine-tuning');
  if (has('config', 'loss', 'grad') && (manifest as RawPretrain).config.mask_ratio !== undefined) {
    return (await comparePretrain(await options.device(), await readPretrainSet(folder, set), options.savings)).rows;
  }
  throw new Error(`${set}.json is no golden manifest of a known kind`);
}

function later(set: string, note: string): readonly Row[] {
  const report = new SetReport(set);
  report.leaveOut('all', 'not yet', note);
  return report.rows;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

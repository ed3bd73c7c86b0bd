/** `hyspark pretrain`: scans in, a run's folder out. */

import { openAsBlob } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Command } from 'commander';
import { HysparkError } from '../../errors.ts';
import type { RunOptions } from '../../worker/protocol.ts';
import { newRunName } from '../../worker/runs.ts';
import { findFiles } from '../files.ts';
import { addEngineOptions, aNumber, type EngineFlags, rememberSources, runAt, withEngine } from './options.ts';
import { trainInTerminal } from './training.ts';

interface Flags extends EngineFlags {
  readonly out?: string;
  readonly config?: string;
  readonly weights?: string;
  readonly partial?: boolean;
  readonly json?: boolean;
  readonly [option: string]: unknown;
}

/** Numbers of the network rather than of the run. */
const MODEL_OPTIONS = ['crop', 'maskRatio'] as const;
const RUN_OPTIONS = [
  'preset',
  'steps',
  'epochs',
  'batch',
  'accumulate',
  'seed',
  'cropsPerScan',
  'heldOut',
  'evaluationCrops',
  'evaluateEvery',
  'previewEvery',
  'checkpointEvery',
  'keep',
  'warmup',
  'clip',
  'recompute',
  'precision',
] as const;

export function pretrainCommand(): Command {
  const command = new Command('pretrain')
    .description('pre-train on CT scans; Ctrl-C stops after the step and saves')
    .argument('<path...>', 'NIfTI files, DICOM files, folders')
    .option('--out <dir>', "the run's folder; made if it is not there (default runs/<time>)")
    .option('--config <file>', 'JSON file of options, as in a config.json; flags win over it')
    .option('--preset <name>', 'tiny, small or base')
    .option('--steps <n>', 'optimiser steps', aNumber)
    .option('--epochs <n>', 'visits to every scan, instead of steps', aNumber)
    .option('--batch <n>', 'crops a pass', aNumber)
    .option('--accumulate <n>', 'passes whose gradients make a step (BatchNorm sees each pass alone)', aNumber)
    .option('--lr <rate>', 'peak learning rate', aNumber)
    .option('--warmup <share>', 'share of the steps that warm up', aNumber)
    .option('--clip <norm>', 'largest norm of the gradient', aNumber)
    .option('--mask-ratio <share>', 'share of the patches hidden', aNumber)
    .option('--crop <voxels>', 'edge of a crop, a multiple of 16', aNumber)
    .option('--crops-per-scan <n>', 'crops from each visit to a scan', aNumber)
    .option('--held-out <share>', 'share of the scans held out', aNumber)
    .option('--evaluation-crops <n>', 'crops of held-out scans that are judged', aNumber)
    .option('--evaluate-every <steps>', 'steps between judgements', aNumber)
    .option('--preview-every <steps>', 'steps between pictures', aNumber)
    .option('--checkpoint-every <steps>', 'steps between checkpoints', aNumber)
    .option('--keep <n>', 'checkpoints kept beside the best', aNumber)
    .option('--recompute', 'less memory, about a third more work')
    .option('--precision <name>', 'float32, or mixed: feature maps in 16 bits, about half the memory; needs shader-f16')
    .option('--seed <n>', 'equal seeds give equal runs on one adapter', aNumber)
    .option('--weights <file>', 'start from a checkpoint or a .pth')
    .option('--partial', 'take the weights that fit and leave the rest as drawn')
    .option('--json', 'print every event as a line of JSON');
  return addEngineOptions(command).action(async (paths: string[], flags: Flags) => {
    const options = await readOptions(flags);
    const folder = flags.out ?? join('runs', newRunName());
    const { runs, id } = runAt(folder);
    const files = await findFiles(paths);
    const weights = flags.weights ? await openWeights(flags.weights) : undefined;
    await withEngine(runs, flags, async (engine) => {
      const request = { files, options, id, weights, partialWeights: flags.partial };
      const begun = () => rememberSources(folder, paths, flags.cache!);
      await trainInTerminal(engine, request, { folder, asJson: flags.json ?? false, begun });
    });
  });
}

/** The options of a file, if one is named, with the flags over them. */
async function readOptions(flags: Flags): Promise<RunOptions> {
  const named = flags.config ? await readConfig(flags.config) : {};
  // Another preset has a network and rates of its own.
  const another = named.preset !== undefined && flags.preset !== undefined && flags.preset !== named.preset;
  const file = another ? { ...named, model: undefined, learningRate: undefined, warmup: undefined } : named;
  const pick = (names: readonly string[]) =>
    Object.fromEntries(names.filter((name) => flags[name] !== undefined).map((name) => [name, flags[name]]));
  const model = { ...file.model, ...pick(MODEL_OPTIONS) };
  const rate = flags.lr === undefined ? {} : { learningRate: flags.lr as number };
  const chosen = { ...file, ...pick(RUN_OPTIONS), ...rate, model };
  // A flag wins over the file's other way of saying how long.
  if (flags.steps !== undefined && flags.epochs === undefined) return { ...chosen, epochs: undefined };
  if (flags.epochs !== undefined && flags.steps === undefined) return { ...chosen, steps: undefined };
  return chosen;
}

async function readConfig(path: string): Promise<RunOptions> {
  try {
    const value = JSON.parse(await readFile(path, 'utf8')) as RunOptions & { config?: RunOptions };
    return value.config ?? value; // a run's own config.json holds more than the options
  } catch (cause) {
    const got = (cause as Error).message;
    throw new HysparkError('bad-argument', { doing: `Reading ${path}`, got, need: 'a JSON file of options', cause });
  }
}

async function openWeights(path: string): Promise<Blob> {
  return openAsBlob(path).catch((cause: Error) => {
    throw new HysparkError('bad-argument', { doing: 'Reading weights', got: cause.message, need: 'a file', cause });
  });
}

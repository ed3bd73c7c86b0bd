/** Options that several commands share. */

import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { type Command, InvalidArgumentError } from 'commander';
import { HysparkError } from '../../errors.ts';
import type { Engine } from '../../worker/engine.ts';
import { cacheFolder, createEngine } from '../engine.ts';

export interface EngineFlags {
  readonly adapter?: string;
  readonly cache?: string;
  readonly tune?: boolean;
  readonly subgroupMatrix?: boolean;
}

export function addEngineOptions(command: Command): Command {
  return command
    .option('--adapter <name>', 'lavapipe or swiftshader instead of the first adapter', process.env.HYSPARK_ADAPTER)
    .option('--cache <dir>', 'folder for prepared scans', cacheFolder())
    .option('--no-tune', 'take the usual kernels on a GPU instead of measuring a few for two seconds')
    .option('--subgroup-matrix', "experimental: let the GPU's matrix units compute what they are faster at");
}

/** Reads an option that is a number. */
export function aNumber(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || Number.isNaN(value)) throw new InvalidArgumentError('A number is needed.');
  return value;
}

/** Runs `work` with an engine whose runs are in `folder`, and frees it. */
export async function withEngine<T>(folder: string, flags: EngineFlags, work: (engine: Engine) => Promise<T>) {
  const engine = createEngine({ runs: folder, cache: flags.cache });
  try {
    const { adapter, tune, subgroupMatrix } = flags;
    await engine.open({ adapter: adapter || undefined, tune, experimental: { subgroupMatrix } });
    return await work(engine);
  } finally {
    await engine.dispose();
  }
}

/** The folder of runs and the run's name in it, of the path of a run's folder. */
export function runAt(path: string): { readonly runs: string; readonly id: string } {
  const full = resolve(path);
  return { runs: dirname(full), id: basename(full) };
}

/** Where the scans of a run lie: kept beside the cache, since paths may name patients and run folders are given away. */
function sourcesFile(run: string, cache: string): string {
  return join(cache, 'sources', `${createHash('sha256').update(resolve(run)).digest('hex').slice(0, 16)}.json`);
}

export async function rememberSources(run: string, paths: readonly string[], cache: string): Promise<void> {
  const file = sourcesFile(run, cache);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, JSON.stringify(paths.map((path) => resolve(path))));
}

export async function recallSources(run: string, cache: string): Promise<string[]> {
  try {
    return JSON.parse(await readFile(sourcesFile(run, cache), 'utf8')) as string[];
  } catch (cause) {
    const there = existsSync(join(run, 'config.json'));
    if (!there)
      throw new HysparkError('bad-argument', { doing: `Resuming ${run}`, got: 'a folder without a run', cause });
    throw new HysparkError('bad-argument', {
      doing: `Resuming ${run}`,
      got: 'no scans',
      need: 'the scans that it was started with',
      advice: `Name them: hyspark resume ${run} PATH…`,
      cause,
    });
  }
}

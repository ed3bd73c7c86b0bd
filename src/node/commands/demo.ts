/** `hyspark demo`: generated scans, a short run of `tiny` on them, and where to look. */

import { existsSync } from 'node:fs';
import { join, relative } from 'node:path';
import { Command } from 'commander';
import { findFiles } from '../files.ts';
import { addEngineOptions, type EngineFlags, rememberSources, runAt, withEngine } from './options.ts';
import { writeSamples } from './sample.ts';
import { trainInTerminal } from './training.ts';

const SCANS = 6;

interface Flags extends EngineFlags {
  readonly out: string;
  readonly steps: number;
}

export function demoCommand(): Command {
  const command = new Command('demo')
    .description('make sample scans and pre-train the tiny network on them, in a few minutes even without a GPU')
    .option('--out <dir>', 'folder for the scans and the run', 'runs')
    .option('--steps <n>', 'optimiser steps', Number, 60);
  return addEngineOptions(command).action(async ({ out, steps, ...flags }: Flags) => {
    const scans = join(out, 'demo-scans');
    if (!existsSync(scans)) {
      console.log(`Making ${SCANS} sample scans in ${scans} …`);
      await writeSamples(scans, SCANS, 1, false);
    }
    const folder = join(out, `demo-${new Date().toISOString().slice(0, 19).replaceAll(':', '-')}`);
    const { runs, id } = runAt(folder);
    const options = {
      preset: 'tiny',
      steps,
      batch: 1,
      evaluationCrops: 4,
      evaluateEvery: Math.ceil(steps / 6),
    } as const;
    await withEngine(runs, flags, async (engine) => {
      await rememberSources(folder, [scans], flags.cache!);
      const request = { files: await findFiles([scans]), options, id };
      const result = await trainInTerminal(engine, request, folder, false);
      if (!result.checkpoint) return;
      console.log(`\nOpen ${relative('.', join(folder, 'report.html'))} in a browser.`);
    });
  });
}

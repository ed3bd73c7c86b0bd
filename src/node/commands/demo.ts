/** `hyspark demo`: generated scans, a short run of `tiny` on them, and where to look. */

import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Command } from 'commander';
import { newRunName } from '../../worker/runs.ts';
import { findFiles } from '../files.ts';
import { addEngineOptions, aNumber, type EngineFlags, rememberSources, runAt, withEngine } from './options.ts';
import { sampleName, writeSamples } from './sample.ts';
import { pathText, trainInTerminal } from './training.ts';

const SCANS = 10;
/** A run takes about a minute on any adapter, but no fewer steps than show that the loss moves, and no more than are worth waiting for. */
const SECONDS = 60;
const [FEWEST, MOST] = [60, 1000];

interface Flags extends EngineFlags {
  readonly out: string;
  readonly steps?: number;
}

export function demoCommand(): Command {
  const command = new Command('demo')
    .description('make sample scans and pre-train the tiny network on them, in a few minutes even without a GPU')
    .option('--out <dir>', 'folder for the scans and the run', 'runs')
    .option('--steps <n>', `optimiser steps (default: about a minute's, ${FEWEST} to ${MOST})`, aNumber);
  return addEngineOptions(command).action(async ({ out, steps: wanted, ...flags }: Flags) => {
    const scans = join(out, 'demo-scans');
    if (!existsSync(join(scans, sampleName(SCANS - 1)))) {
      console.log(`Making ${SCANS} sample scans in ${scans} …`);
      await writeSamples(scans, SCANS, 1, false);
    }
    const folder = join(out, `demo-${newRunName()}`);
    const { runs, id } = runAt(folder);
    const small = { preset: 'tiny', batch: 1, evaluationCrops: 4 } as const;
    await withEngine(runs, flags, async (engine) => {
      console.log('Trying a few steps …');
      const fitting = Math.round(SECONDS / (await engine.measure(small)).secondsPerStep);
      const steps = wanted ?? Math.min(MOST, Math.max(FEWEST, fitting));
      const options = { ...small, steps, evaluateEvery: Math.ceil(steps / 6) };
      await rememberSources(folder, [scans], flags.cache!);
      const request = { files: await findFiles([scans]), options, id };
      const result = await trainInTerminal(engine, request, { folder });
      if (result?.phase !== 'finished') return;
      const weights = join(folder, 'hyspark.pth');
      await writeFile(weights, (await engine.exportWeights(id, 'pth')).stream());
      console.log(`Weights     ${pathText(weights)}\n\nOpen ${pathText(join(folder, 'report.html'))} in a browser.`);
      if (steps < MOST)
        console.log(`${steps} steps show that all of it works; what it can learn takes more (--steps ${MOST}).`);
    });
  });
}

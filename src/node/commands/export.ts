/** `hyspark export`: a run's weights as a file. */

import { createWriteStream } from 'node:fs';
import { rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Command, Option } from 'commander';
import type { WeightsFormat } from '../../worker/protocol.ts';
import { addEngineOptions, type EngineFlags, runAt, withEngine } from './options.ts';

const NAMES: Record<WeightsFormat, string> = {
  checkpoint: 'checkpoint.safetensors',
  pth: 'hyspark.pth',
  encoder: 'hyspark-encoder.pth',
};

export function exportCommand(): Command {
  const command = new Command('export')
    .description("write a run's weights: our checkpoint, PyTorch's full resume file, or the encoder for fine-tuning")
    .argument('<dir>', "the run's folder")
    .addOption(new Option('--format <name>', 'of the file').choices(Object.keys(NAMES)).default('pth'))
    .addOption(new Option('--which <one>', 'checkpoint to take').choices(['best', 'latest']).default('best'))
    .option('--out <file>', "file to write (default: in the run's folder)");
  return addEngineOptions(command).action(
    async (folder: string, flags: EngineFlags & { format: WeightsFormat; which: 'best' | 'latest'; out?: string }) => {
      const { runs, id } = runAt(folder);
      const out = flags.out ?? join(folder, NAMES[flags.format]);
      await withEngine(runs, flags, async (engine) => {
        const { chunks, file, step } = await engine.weightsOf(id, flags.format, flags.which);
        const source = chunks ?? (file!.stream() as unknown as AsyncIterable<Uint8Array>);
        const there = await stat(out).catch(() => undefined);
        // A pipe or a device is written to as it is.
        const unfinished = !there || there.isFile() ? `${out}.unfinished` : out;
        if (unfinished === out) return void (await pipeline(Readable.from(source), createWriteStream(out)));
        try {
          await pipeline(Readable.from(source), createWriteStream(unfinished));
          await rename(unfinished, out); // whoever reads it sees the old file or the new
        } catch (error) {
          await rm(unfinished, { force: true });
          throw error;
        }
        console.log(`${out} (step ${step})`);
      });
    },
  );
}

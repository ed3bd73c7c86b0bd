/** `hyspark reconstruct`: what a run's model makes of a crop of any scan. */

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Command } from 'commander';
import { drawCrop } from '../../data/crops.ts';
import { openDataset } from '../../data/dataset.ts';
import { DEFAULT_PREPARE } from '../../data/prepare.ts';
import { memoryReader } from '../../data/volume-reader.ts';
import { HysparkError } from '../../errors.ts';
import { encodeNifti, gzip } from '../../formats/nifti-write.ts';
import { Random } from '../../random.ts';
import { previewPng } from '../../train/judge.ts';
import type { Preview } from '../../worker/protocol.ts';
import { createDataPool } from '../data-pool.ts';
import { findFiles } from '../files.ts';
import { nodePlatform } from '../platform.ts';
import { addEngineOptions, type EngineFlags, runAt, withEngine } from './options.ts';

interface Flags extends EngineFlags {
  readonly out?: string;
  readonly seed: number;
}

export function reconstructCommand(): Command {
  const command = new Command('reconstruct')
    .description('hide patches of a crop of a scan and let the run reconstruct them: PNG panels and NIfTI volumes')
    .argument('<dir>', "the run's folder")
    .argument('<scan...>', 'a NIfTI file, or the files or folder of a DICOM series')
    .option('--out <dir>', "folder to write to (default: reconstructions in the run's folder)")
    .option('--seed <n>', 'chooses the crop and the mask', Number, 1);
  return addEngineOptions(command).action(async (folder: string, scan: string[], flags: Flags) => {
    const { runs, id } = runAt(folder);
    const files = await findFiles(scan);
    const out = flags.out ?? join(folder, 'reconstructions');
    await withEngine(runs, flags, async (engine) => {
      const { crop } = (await engine.configOf(id)).model;
      const { voxels, hash } = await cropOf(files, crop, flags.seed);
      const look = await engine.reconstruct(id, voxels, flags.seed);
      await mkdir(out, { recursive: true });
      const name = join(out, `${hash}-${flags.seed}`);
      await writeFile(`${name}.png`, previewPng({ ...look, original: voxels, crop }));
      const error = look.reconstructed.map((v, i) => v - voxels[i]!);
      const volumes = { original: voxels, masked: look.masked, reconstructed: look.reconstructed, error };
      for (const [kind, values] of Object.entries(volumes)) {
        await writeFile(`${name}-${kind}.nii.gz`, await niftiOf(values, crop));
      }
      console.log(`${name}.png (step ${look.step}, loss ${look.loss.toFixed(4)})`);
    });
  });
}

/** A crop of the first scan among the files, prepared as for training. */
async function cropOf(files: Awaited<ReturnType<typeof findFiles>>, crop: number, seed: number) {
  const { scans, setAside } = await openDataset(files, nodePlatform);
  const first = scans[0];
  const refuse = (got: string) => new HysparkError('set-aside', { doing: 'Reconstructing', got, need: 'a CT scan' });
  if (!first) throw refuse(setAside[0]?.reason ?? 'no scan');
  const pool = createDataPool(1);
  try {
    const prepared = await pool.prepare(first.source, { ...DEFAULT_PREPARE, least: crop });
    if (!prepared.usable) throw refuse(prepared.reason);
    const random = Random.of(seed, 'reconstruct', first.hash);
    const { voxels } = await drawCrop(memoryReader(prepared.volume), crop, [0, 0, 0], random);
    return { voxels, hash: first.hash };
  } finally {
    pool.close();
  }
}

/** RAS, 1.5 mm, the origin in the crop's corner; values 0..1 of the training window, −1 where hidden. */
async function niftiOf(values: Preview['original'], crop: number) {
  const mm = DEFAULT_PREPARE.spacing;
  const affine = [mm, 0, 0, 0, 0, mm, 0, 0, 0, 0, mm, 0, 0, 0, 0, 1] as const;
  const voxels = values.map((v) => (Number.isNaN(v) ? -1 : v));
  return gzip(encodeNifti({ shape: [crop, crop, crop], affine, voxels, fastest: 'z' }));
}

/** `hyspark sample`: writes generated scans, to try everything without a patient's data. */

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { makePhantom, type Phantom, sampleOptions } from '../../data/phantom.ts';
import { PHANTOM_LABELS } from '../../data/phantom-anatomy.ts';
import { encodeNifti, gzip, type NiftiImage } from '../../formats/nifti-write.ts';
import { Random } from '../../random.ts';

export function sampleCommand(): Command {
  return new Command('sample')
    .description('write generated CT scans (phantoms) as NIfTI')
    .requiredOption('--out <dir>', 'folder to write to; made if it is not there')
    .option('--count <n>', 'how many scans', wholeNumber, 4)
    .option('--seed <n>', 'equal seeds give equal scans', wholeNumber, 1)
    .option('--labels', 'organ label maps too, in the folders of nnU-Net (imagesTr, labelsTr, dataset.json)')
    .action(async ({ out, count, seed, labels }: { out: string; count: number; seed: number; labels?: boolean }) => {
      await writeSamples(out, count, seed, labels ?? false);
      console.log(`${count} scans in ${out}`);
    });
}

/** Writes `count` scans to `dir`. Files: `sample_000.nii.gz`, or the folders of nnU-Net with `labels`. */
export async function writeSamples(dir: string, count: number, seed: number, labels: boolean): Promise<void> {
  const images = labels ? join(dir, 'imagesTr') : dir;
  const maps = join(dir, 'labelsTr');
  await mkdir(images, { recursive: true });
  if (labels) await mkdir(maps, { recursive: true });
  for (let i = 0; i < count; i++) {
    const phantom = makePhantom(sampleOptions(seed, i));
    const { shape, affine } = phantom;
    await writeImage(join(images, sampleName(i, labels ? '_0000' : '')), storedAs(phantom, Random.of(seed, i)));
    if (labels) await writeImage(join(maps, sampleName(i)), { shape, affine, voxels: phantom.labels, fastest: 'x' });
  }
  if (labels) {
    const description = {
      channel_names: { 0: 'CT' },
      labels: Object.fromEntries(PHANTOM_LABELS.map((label, i) => [label, i])),
      numTraining: count,
      file_ending: '.nii.gz',
    };
    await writeFile(join(dir, 'dataset.json'), `${JSON.stringify(description, null, 2)}\n`);
  }
}

/** File of sample number `i`. @param channel nnU-Net's ending of images */
export function sampleName(i: number, channel = ''): string {
  return `sample_${String(i).padStart(3, '0')}${channel}.nii.gz`;
}

/** The phantom's HU in one of the element types that scanners and converters write. */
function storedAs({ shape, affine, hu }: Phantom, random: Random): NiftiImage {
  const image = { shape, affine, fastest: 'x' } as const;
  switch (random.int(0, 5)) {
    case 0:
      return { ...image, voxels: Uint16Array.from(hu, (v) => v + 1024), slope: 1, inter: -1024 };
    case 1:
      return { ...image, voxels: Float32Array.from(hu) };
    case 2:
      return { ...image, voxels: Int32Array.from(hu) };
    case 3: // 8 bits over -1024..1016 HU, in steps of 8
      return { ...image, voxels: Uint8Array.from(hu, (v) => Math.min(255, (v + 1024) / 8)), slope: 8, inter: -1024 };
    default:
      return { ...image, voxels: hu };
  }
}

async function writeImage(path: string, image: NiftiImage): Promise<void> {
  await writeFile(path, await gzip(encodeNifti(image)));
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) throw new InvalidArgumentError('a whole number is needed');
  return value;
}

/** A scan from its file to the cached volume that crops are cut from, beside the platform's gunzip alone, which no reader can beat. */

import { VolumeCache } from '../data/cache.ts';
import { makePhantom } from '../data/phantom.ts';
import { DEFAULT_PREPARE, type PreparedVolume } from '../data/prepare.ts';
import type { FileHandle, Platform } from '../data/source.ts';
import { createDataService } from '../data/worker/service.ts';
import { HysparkError } from '../errors.ts';
import { encodeNifti, gzip } from '../formats/nifti-write.ts';
import { defineBenchmark } from './benchmark.ts';
import { oneOf, whole } from './parameters.ts';
import { ratios, spread } from './statistics.ts';

const SIZES = {
  small: { shape: [128, 128, 80], spacing: [1.5, 1.5, 2] },
  middle: { shape: [256, 256, 120], spacing: [1.5, 1.5, 2] },
  large: { shape: [512, 512, 274], spacing: [0.78, 0.78, 1] },
} as const;

const FILE = 'scan.nii.gz';

/** Files are given as blobs, and there is no DICOM. */
const platform: Platform = {
  open: async (handle) => handle as Blob,
  convertDicom: () => Promise.reject(new HysparkError('unsupported', { doing: 'The benchmark', got: 'DICOM' })),
};
const service = createDataService(platform);

async function prepare(handle: FileHandle, path: string): Promise<PreparedVolume> {
  const files = [{ path, size: (handle as Blob).size, handle }];
  const result = await service.prepare({ kind: 'NIfTI', path, files }, DEFAULT_PREPARE);
  if (result.usable) return result.volume;
  throw new HysparkError('bad-file', { doing: `Preparing ${path}`, got: result.reason });
}

export const DATA = defineBenchmark({
  name: 'data',
  title: 'Data path',
  about: 'A gzipped NIfTI scan from its file to the cached volume that crops are cut from, beside gunzip alone.',
  parameters: {
    size: oneOf(['small', 'middle', 'large'], '128 × 128 × 80, 256 × 256 × 120 or 512 × 512 × 274 voxels', 'middle'),
    repeats: whole(3, [1, 100], 'measurements of each'),
  },
  async run({ size, repeats }, { store, progress }) {
    const of = 2 * repeats + 5;
    const { shape, spacing } = SIZES[size];
    progress(0, of, 'making a scan');
    const { affine, hu } = makePhantom({ seed: 1, anatomy: 'abdomen', shape, spacing, orientation: 'LPS' });
    const plain = encodeNifti({ shape, affine, voxels: hu, fastest: 'x' });
    await store.write(FILE, await gzip(plain));
    const file = await store.open(FILE);
    const cache = await VolumeCache.open(store, 2 ** 32);

    progress(3, of, 'comparing');
    if ((await gunzip(file, plain)) !== plain.length) throw wrong('the file', 'other bytes than were zipped');
    const expected = await prepare(new Blob([plain]), 'scan.nii');
    const volume = await prepare(file, FILE);
    await cache.put('compared', volume);
    const reader = await cache.get('compared');
    if (!reader) throw wrong('the cache', 'no volume');
    const cached = await reader.read(0, volume.shape[0]);
    if (!same(volume.voxels, expected.voxels)) throw wrong('the zipped scan', 'another volume than of the plain one');
    if (!same(cached, expected.voxels)) throw wrong('the cached volume', 'other voxels');

    const [zip, all]: [number[], number[]] = [[], []];
    for (let i = 0; i < repeats; i++) {
      progress(5 + 2 * i, of, 'timing');
      zip.push(await milliseconds(() => gunzip(file)));
      all.push(await milliseconds(async () => cache.put(String(i), await prepare(file, FILE))));
    }
    const row = (name: string, list: readonly number[]) => {
      const time = spread(list);
      return { name, time, traffic: plain.length / time.median / 1e6, ratio: ratios(list, zip) };
    };
    const rows = [row('gunzip alone', zip), row('file to cached volume', all)];
    return {
      tables: [
        {
          name: 'data path',
          columns: [
            { key: 'name', label: 'part' },
            { key: 'time', label: 'time', unit: 'ms' },
            { key: 'traffic', label: 'unzipped', unit: 'GB/s' },
            { key: 'ratio', label: '÷ gunzip', unit: '×' },
          ],
          rows,
        },
      ],
      charts: [
        {
          kind: 'bars',
          title: 'Time ÷ gunzip alone',
          unit: '×',
          groups: rows.map(({ name, ratio: { median, low, high } }) => ({
            name,
            bars: [{ series: 'time ÷ gunzip', value: median, low, high }],
          })),
        },
      ],
      notes: [
        `A made scan of ${shape.join(' × ')} voxels, ${(plain.length / 2 ** 20).toFixed(0)} MiB, ${(file.size / 2 ** 20).toFixed(0)} MiB gzipped; prepared: ${volume.shape.join(' × ')} at ${DEFAULT_PREPARE.spacing} mm.`,
        'Before timing, the unzipped bytes, the volume of the zipped scan and the volume read back from the cache were compared, each bit for bit.',
        'One core: reading, gunzip, audit, orientation, resampling, windowing, cutting, writing to storage.',
      ],
    };
  },
});

function wrong(what: string, got: string): HysparkError {
  return new HysparkError('bad-file', { doing: `Checking ${what}`, got });
}

function same(a: Uint16Array, b: Uint16Array): boolean {
  return a.length === b.length && a.every((value, i) => value === b[i]);
}

/** Bytes that a gzipped blob holds, as far as they equal `expected` where that is given. */
async function gunzip(blob: Blob, expected?: Uint8Array): Promise<number> {
  const reader = blob.stream().pipeThrough(new DecompressionStream('gzip')).getReader();
  let length = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return length;
    if (expected && !value.every((byte, i) => byte === expected[length + i])) return length;
    length += value.length;
  }
}

async function milliseconds(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

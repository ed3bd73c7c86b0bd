import { beforeAll, describe, expect, test } from 'vitest';
import { encodeNifti } from '../formats/nifti-write.ts';
import { MemoryStore } from '../store/memory.ts';
import { directPool, fileOf, memoryPlatform, phantomFile } from '../testing/data.ts';
import { VolumeCache } from './cache.ts';
import { type Dataset, openDataset } from './dataset.ts';
import { type Batch, DataLoader, type LoaderOptions } from './loader.ts';
import type { Cursor } from './sampler.ts';
import { DataPool } from './worker/pool.ts';
import { createDataService } from './worker/service.ts';

const options: LoaderOptions = {
  seed: 3,
  batch: 2,
  crop: 32,
  cropsPerScan: 3,
  heldOut: 0.2,
  prepare: { spacing: 6, window: [-175, 250] },
};
let dataset: Dataset;

beforeAll(async () => {
  const files = Array.from({ length: 6 }, (_, i) => fileOf(`scan${i}.nii`, phantomFile(i)));
  dataset = await openDataset(files, memoryPlatform);
});

/** A batch in a few numbers that any other crop would change. */
function fingerprint({ voxels, crops, cursor }: Batch): string {
  let sum = 0;
  voxels.forEach((value, i) => {
    sum += value * ((i % 1013) + 1);
  });
  return JSON.stringify([sum, crops, cursor]);
}

async function take(loader: DataLoader, count: number): Promise<string[]> {
  const prints: string[] = [];
  for (let i = 0; i < count; i++) prints.push(fingerprint(await loader.next()));
  return prints;
}

describe('loader', () => {
  test('batches are [batch, size, size, size] in 0..1, crops hold foreground', async () => {
    const loader = new DataLoader(dataset.scans, directPool(), undefined, options);
    const { voxels, crops } = await loader.next();
    expect(voxels.length).toBe(2 * 32 ** 3);
    expect(crops.length).toBe(2);
    expect(voxels.every((value) => value >= 0 && value <= 1)).toBe(true);
    for (let i = 0; i < 2; i++) expect(voxels.subarray(i * 32 ** 3, (i + 1) * 32 ** 3).some((v) => v > 0)).toBe(true);
  });

  test('the same crops with one worker, three workers, a cache, and a cache that is full', async () => {
    const plain = await take(new DataLoader(dataset.scans, directPool(), undefined, options), 20);
    const three = new DataLoader(dataset.scans, directPool(memoryPlatform, 3), undefined, { ...options, ahead: 7 });
    expect(await take(three, 20)).toEqual(plain);
    const cache = await VolumeCache.open(new MemoryStore(), 1e9);
    const cached = new DataLoader(dataset.scans, directPool(), cache, options);
    expect(await take(cached, 20)).toEqual(plain);
    expect(cached.statistics.cached).toBeGreaterThan(3);
    const small = await VolumeCache.open(new MemoryStore(300_000), 1e9);
    expect(await take(new DataLoader(dataset.scans, directPool(), small, options), 20)).toEqual(plain);
    expect(small.trouble).toContain('no space left');
  });

  test('the seed changes the order, the crops and the scans held out', async () => {
    const one = new DataLoader(dataset.scans, directPool(), undefined, options);
    const two = new DataLoader(dataset.scans, directPool(), undefined, { ...options, seed: 4 });
    expect(await take(one, 3)).not.toEqual(await take(two, 3));
    const sides = new Set(
      Array.from({ length: 20 }, (_, seed) =>
        new DataLoader(dataset.scans, directPool(), undefined, { ...options, seed }).heldOut.map((s) => s.hash).join(),
      ),
    );
    expect(sides.size).toBeGreaterThan(3);
  });

  test('any cursor continues exactly where it points', async () => {
    const loader = new DataLoader(dataset.scans, directPool(), undefined, options);
    const prints: string[] = [];
    const cursors: Cursor[] = [];
    for (let i = 0; i < 18; i++) {
      const batch = await loader.next();
      prints.push(fingerprint(batch));
      cursors.push(batch.cursor);
    }
    for (const at of [0, 4, 6, 7, 8, 13]) {
      const resumed = new DataLoader(dataset.scans, directPool(), undefined, options, cursors[at]);
      expect(await take(resumed, 4)).toEqual(prints.slice(at + 1, at + 5));
    }
  });

  test('an epoch visits every training scan once, and no scan held out', async () => {
    const loader = new DataLoader(dataset.scans, directPool(), undefined, { ...options, batch: 3 });
    expect(loader.heldOut.length).toBe(1);
    const seen: string[] = [];
    for (let i = 0; i < 10; i++) seen.push((await loader.next()).crops[0]!.hash);
    const training = loader.training.map((scan) => scan.hash);
    expect(seen.slice(0, 5).sort()).toEqual(training);
    expect(seen.slice(5).sort()).toEqual(training);
    expect(seen.slice(0, 5)).not.toEqual(seen.slice(5));
    expect(training).not.toContain(loader.heldOut[0]!.hash);
  });

  test('evaluation crops are the same each time, with no flip', async () => {
    const loader = new DataLoader(dataset.scans, directPool(), undefined, options);
    const first = await loader.evaluationCrops(0, 2);
    expect(first.length).toBe(2);
    expect(first.every((crop) => crop.flips.every((flip) => !flip))).toBe(true);
    await loader.next();
    expect(await loader.evaluationCrops(0, 2)).toEqual(first);
    await expect(loader.evaluationCrops(1, 2)).rejects.toThrow(/scan 1, need 0 to 0/);
  });

  test('a bad scan is set aside with its reason and the run goes on', async () => {
    const bytes = phantomFile(9);
    const bad = fileOf('cut.nii', bytes.slice(0, bytes.length / 2));
    const good = [0, 1, 2].map((i) => fileOf(`scan${i}.nii`, phantomFile(i)));
    const { scans } = await openDataset([bad, ...good], memoryPlatform);
    const loader = new DataLoader(scans, directPool(), undefined, { ...options, heldOut: 0 });
    const seen = new Set<string>();
    for (let i = 0; i < 12; i++) for (const crop of (await loader.next()).crops) seen.add(crop.hash);
    expect(seen.size).toBe(3);
    expect([...loader.setAside.values()]).toEqual([{ path: 'cut.nii', reason: expect.stringContaining('cut short') }]);
  });

  test('one CT among label maps is trained on, whichever side it falls on', async () => {
    const map = (seed: number) => {
      const voxels = Uint8Array.from({ length: 32 ** 3 }, (_, i) => (i * seed) % 5);
      const affine = [2, 0, 0, 0, 0, 2, 0, 0, 0, 0, 2, 0, 0, 0, 0, 1];
      return fileOf(`map${seed}.nii`, encodeNifti({ shape: [32, 32, 32], affine, voxels, fastest: 'x' }));
    };
    const files = [fileOf('ct.nii', phantomFile(1)), map(1), map(2), map(3)];
    const { scans } = await openDataset(files, memoryPlatform);
    for (let seed = 0; seed < 6; seed++) {
      const loader = await DataLoader.open(scans, directPool(), undefined, { ...options, seed });
      expect((await loader.next()).crops.length).toBe(2);
      expect([...loader.setAside.values()].every(({ path }) => path !== 'ct.nii')).toBe(true);
    }
    const maps = scans.filter(({ source }) => source.path !== 'ct.nii');
    await expect(DataLoader.open(maps, directPool(), undefined, options)).rejects.toThrow(
      /3 scans of which none could be used \(.*label map/,
    );
  });

  test('visits that come at the same time read the scan once, also without a cache', async () => {
    let reads = 0;
    const service = createDataService(memoryPlatform);
    const prepare: typeof service.prepare = (...call) => {
      reads++;
      return service.prepare(...call);
    };
    const died = new Promise<string>(() => undefined);
    const pool = new DataPool(() => ({ service: { ...service, prepare }, died, close: () => undefined }), 4);
    const one = { ...options, heldOut: 0, cropsPerScan: 1, ahead: 4 };
    const loader = new DataLoader(dataset.scans.slice(0, 1), pool, undefined, one);
    await loader.next();
    expect(reads).toBeLessThanOrEqual(2); // four visits at once, then those that came after them
  });

  test('a file that was changed after it was added is set aside, and not kept under the old name', async () => {
    const file = fileOf('scan.nii', phantomFile(1));
    const { scans } = await openDataset([file, fileOf('other.nii', phantomFile(2))], memoryPlatform);
    const changed = scans.map((scan) =>
      scan.source.path === 'scan.nii'
        ? { ...scan, source: { ...scan.source, files: [fileOf('scan.nii', phantomFile(3))] } }
        : scan,
    );
    const store = new MemoryStore();
    const cache = await VolumeCache.open(store, 1e9);
    const loader = new DataLoader(changed, directPool(), cache, { ...options, heldOut: 0 });
    for (let i = 0; i < 4; i++) await loader.next();
    expect([...loader.setAside.values()]).toEqual([
      { path: 'scan.nii', reason: 'The file was changed after it was added.' },
    ]);
    expect(cache.count).toBe(1);
  });

  test('nothing usable is an error, not a hang', async () => {
    const bad = [1, 2].map((i) => fileOf(`${i}.nii`, new Uint8Array(500).fill(i)));
    const { scans } = await openDataset(bad, memoryPlatform);
    const loader = new DataLoader(scans, directPool(), undefined, options);
    await expect(loader.next()).rejects.toThrow(/none could be used/);
    expect(() => new DataLoader([], directPool(), undefined, options)).toThrow(/no scan/);
  });

  test('options out of range are refused', () => {
    const make = (change: Partial<LoaderOptions>, cursor?: Cursor) => () =>
      new DataLoader(dataset.scans, directPool(), undefined, { ...options, ...change }, cursor);
    expect(make({ crop: 40 })).toThrow(/"crop": got 40, need a multiple of 16/);
    expect(make({ batch: 0 })).toThrow(/"batch"/);
    expect(make({ heldOut: 1 })).toThrow(/"heldOut"/);
    expect(make({}, { epoch: 0, scan: 99, crop: 0 })).toThrow(/collection or the options have changed/);
  });

  test('equal files count once', async () => {
    const bytes = phantomFile(1);
    const found = await openDataset([fileOf('b.nii', bytes), fileOf('a.nii', bytes)], memoryPlatform);
    expect(found.scans.map((scan) => scan.source.path)).toEqual(['a.nii']);
    expect(found.setAside).toEqual([{ path: 'b.nii', reason: 'The same as a.nii.' }]);
  });
});

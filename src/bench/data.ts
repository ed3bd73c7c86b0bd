/**
 * How fast scans become crops, in Node: `npm run bench:data [-- --scans N]`. Each part runs in a process of its own, so
 * that its peak memory is its own. Reports JSON on standard output.
 */

import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import type { Triple } from '../data/affine.ts';
import { VolumeCache } from '../data/cache.ts';
import { openDataset } from '../data/dataset.ts';
import { DataLoader } from '../data/loader.ts';
import { makePhantom } from '../data/phantom.ts';
import { ANATOMIES, type Anatomy } from '../data/phantom-anatomy.ts';
import { DEFAULT_PREPARE } from '../data/prepare.ts';
import { createDataService } from '../data/worker/service.ts';
import { encodeNifti, gzip } from '../formats/nifti-write.ts';
import { createDataPool } from '../node/data-pool.ts';
import { findFiles } from '../node/files.ts';
import { nodePlatform } from '../node/platform.ts';
import { FolderStore } from '../store/folder.ts';

const LARGE: Triple = [512, 512, 274];
const RUNS = 3;

/** Parts by name; each is given a folder and a count, and returns what it measured. */
const PARTS: Record<string, (dir: string, count: number) => Promise<object>> = { large, throughput, epoch };

if (process.argv[2] === 'part') {
  const [, , , name, dir, count] = process.argv;
  const result = await PARTS[name!]!(dir!, Number(count));
  const peakMiB = Math.round(process.resourceUsage().maxRSS / 1024);
  console.log(JSON.stringify({ ...result, peakMiB }));
} else {
  await main();
}

async function main(): Promise<void> {
  const { scans } = new Command('bench:data')
    .option('--scans <n>', 'small scans of the epoch', Number, 5000)
    .parse()
    .opts<{ scans: number }>();
  const dir = await mkdtemp(join(tmpdir(), 'hyspark-bench-'));
  try {
    await mkdir(join(dir, 'large'));
    await mkdir(join(dir, 'middle'));
    await mkdir(join(dir, 'small'));
    process.stderr.write('writing a scan of 512 × 512 × 274 …\n');
    await writeScan(join(dir, 'large/scan.nii.gz'), 1, 'abdomen', LARGE, [0.78, 0.78, 1], true);
    const large = run('large', join(dir, 'large'), RUNS);
    process.stderr.write('writing 12 scans of 256 × 256 × 120 …\n');
    for (let i = 0; i < 12; i++) {
      const file = join(dir, `middle/${i}.nii.gz`);
      await writeScan(file, i, ANATOMIES[i % ANATOMIES.length]!, [256, 256, 120], [1.5, 1.5, 2], true);
    }
    const throughput = run('throughput', join(dir, 'middle'), 2);
    process.stderr.write(`writing ${scans} small scans …\n`);
    for (let i = 0; i < scans; i++) {
      await writeScan(
        join(dir, `small/${i}.nii`),
        i,
        ANATOMIES[i % ANATOMIES.length]!,
        [32, 28, 24],
        [11, 10, 9],
        false,
      );
    }
    const epoch = run('epoch', join(dir, 'small'), 2);
    const machine = { cpu: cpus()[0]?.model ?? '', cores: cpus().length, node: process.version };
    console.log(JSON.stringify({ machine, large, throughput, epoch }, null, 2));
  } finally {
    await rm(dir, { recursive: true });
  }
}

function run(part: string, dir: string, count: number): object {
  process.stderr.write(`${part} …\n`);
  const args = [...process.execArgv, fileURLToPath(import.meta.url), 'part', part, dir, String(count)];
  const { stdout, status } = spawnSync(process.execPath, args, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (status !== 0) throw new Error(`${part} ended with status ${status}`);
  return JSON.parse(stdout.slice(stdout.lastIndexOf('\n{') + 1));
}

async function writeScan(
  path: string,
  seed: number,
  anatomy: Anatomy,
  shape: Triple,
  spacing: Triple,
  zipped: boolean,
): Promise<void> {
  const { affine, hu } = makePhantom({ seed, anatomy, shape, spacing, orientation: 'LPS' });
  const bytes = encodeNifti({ shape, affine, voxels: hu, fastest: 'x' });
  await writeFile(path, zipped ? await gzip(bytes) : bytes);
}

/** From file to cached crop volume on one core, beside gunzip alone; medians of `runs`. */
async function large(dir: string, runs: number): Promise<object> {
  const [file] = await findFiles([dir]);
  const source = { kind: 'NIfTI', path: file!.path, files: [file!] } as const;
  const service = createDataService(nodePlatform);
  const cache = await VolumeCache.open(new FolderStore(join(dir, 'cache')), 2 ** 32);
  const gunzip: number[] = [];
  const whole: number[] = [];
  let shape: readonly number[] = [];
  for (let i = 0; i < runs; i++) {
    gunzip.push(await seconds(async () => drain(await nodePlatform.open(file!.handle))));
    whole.push(
      await seconds(async () => {
        const result = await service.prepare(source, DEFAULT_PREPARE);
        if (!result.usable) throw new Error(result.reason);
        shape = result.volume.shape;
        await cache.put(String(i), result.volume);
      }),
    );
  }
  const rawMiB = (LARGE[0] * LARGE[1] * LARGE[2] * 2) / 2 ** 20;
  return {
    scan: LARGE.join(' × '),
    fileMiB: Math.round((await stat(join(dir, 'scan.nii.gz'))).size / 2 ** 20),
    rawMiB: Math.round(rawMiB),
    volume: shape.join(' × '),
    gunzipSeconds: median(gunzip),
    fileToCacheSeconds: median(whole),
    ratioToGunzip: round(median(whole) / median(gunzip)),
  };
}

/** Scans a minute through `threads` data threads. */
async function throughput(dir: string, threads: number): Promise<object> {
  const { scans } = await openDataset(await findFiles([dir]), nodePlatform);
  const pool = createDataPool(threads);
  // Threads start when they are first needed: that is not counted.
  await Promise.all(Array.from({ length: threads }, () => pool.prepare(scans[0]!.source, DEFAULT_PREPARE)));
  const took = await seconds(async () => {
    await Promise.all(scans.map(({ source }) => pool.prepare(source, DEFAULT_PREPARE)));
  });
  pool.close();
  return { scan: '256 × 256 × 120', scans: scans.length, threads, scansPerMinute: round((scans.length / took) * 60) };
}

/** One epoch over all scans, four crops each, through the cache; how memory grows between its quarters. */
async function epoch(dir: string, threads: number): Promise<object> {
  const found = await seconds(async () => void (await findFiles([dir])));
  const { scans } = await openDataset(await findFiles([dir]), nodePlatform);
  const pool = createDataPool(threads);
  const cache = await VolumeCache.open(new FolderStore(join(dir, '..', 'cache')), 64 * 2 ** 20);
  const options = { seed: 1, batch: 4, crop: 32, prepare: { ...DEFAULT_PREPARE, spacing: 6 } };
  const loader = new DataLoader(scans, pool, cache, options);
  const rssMiB: number[] = [];
  const batches = loader.training.length; // four crops a scan, four crops a batch
  const took = await seconds(async () => {
    for (let i = 0; i < batches; i++) {
      await loader.next();
      if ((i + 1) % Math.ceil(batches / 4) === 0) rssMiB.push(Math.round(process.memoryUsage().rss / 2 ** 20));
    }
  });
  loader.close();
  pool.close();
  return {
    scans: scans.length,
    threads,
    findSeconds: found,
    epochSeconds: round(took),
    cropsPerSecond: round((batches * 4) / took),
    rssMiBAtQuarters: rssMiB,
    cacheMiB: round(cache.bytes / 2 ** 20),
  };
}

async function drain(blob: Blob): Promise<void> {
  const reader = blob.stream().pipeThrough(new DecompressionStream('gzip')).getReader();
  while (!(await reader.read()).done);
}

async function seconds(work: () => Promise<void>): Promise<number> {
  const began = performance.now();
  await work();
  return round((performance.now() - began) / 1000);
}

function median(values: number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1]!;
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}

/** Scans on disk in Node: the memory that a large one takes, scans a minute through threads, and an epoch over many. */

import { fork } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { VolumeCache } from '../../data/cache.ts';
import { openDataset } from '../../data/dataset.ts';
import { DataLoader } from '../../data/loader.ts';
import { DEFAULT_PREPARE } from '../../data/prepare.ts';
import { createDataService } from '../../data/worker/service.ts';
import { HysparkError } from '../../errors.ts';
import { createDataPool } from '../../node/data-pool.ts';
import { findFiles } from '../../node/files.ts';
import { nodePlatform } from '../../node/platform.ts';
import { FolderStore } from '../../store/folder.ts';
import { defineBenchmark } from '../benchmark.ts';
import { whole } from '../parameters.ts';

const KINDS = ['large', 'middle', 'small'] as const;
const THREADS = 2;

export const DISK = defineBenchmark({
  name: 'disk',
  title: 'Scans on disk',
  about:
    'In Node: the memory that a large scan takes, scans a minute through two threads, and an epoch over many small ones.',
  parameters: {
    middle: whole(12, [1, 1000], 'scans of 256 × 256 × 120'),
    small: whole(5000, [4, 100_000], 'scans of the epoch, 32 × 28 × 24'),
  },
  async run({ middle, small }, { progress }) {
    const root = mkdtempSync(join(tmpdir(), 'hyspark-bench-'));
    try {
      const counts = { large: 1, middle, small };
      for (const [n, kind] of KINDS.entries()) {
        progress(n, 8, `writing ${counts[kind]} ${kind} scans`);
        mkdirSync(join(root, kind));
        await write(join(root, kind), kind, counts[kind]);
      }
      progress(3, 8, 'preparing the large scan');
      const large = await peak(join(root, 'large'));
      progress(4, 8, 'preparing the middle scans');
      const scans = await throughput(join(root, 'middle'));
      progress(5, 8, 'an epoch over the small scans');
      const epoch = await epochOf(join(root, 'small'), join(root, 'cache'));
      return {
        tables: [
          {
            name: 'disk',
            columns: [
              { key: 'name', label: 'part' },
              { key: 'time', label: 'time', unit: 'ms' },
              { key: 'scans', label: 'scans', unit: 'scans/min' },
              { key: 'crops', label: 'crops', unit: 'crops/s' },
              { key: 'memory', label: 'memory', unit: 'MiB' },
            ],
            rows: [
              { name: '512 × 512 × 274, one: peak of the process', ...large },
              { name: `256 × 256 × 120, ${middle} through ${THREADS} threads`, ...scans },
              { name: `32 × 28 × 24, ${small}: finding the files`, time: epoch.finding },
              ...epoch.quarters.map((memory, n) => ({ name: `an epoch, after quarter ${n + 1}`, memory })),
              { name: 'an epoch, in all', time: epoch.time, crops: epoch.crops },
            ],
          },
        ],
        charts: [
          {
            kind: 'lines',
            title: 'Memory of the process in the epoch',
            x: 'quarter of the epoch',
            y: 'MiB',
            series: [{ name: 'resident', points: epoch.quarters.map((y, n) => ({ x: n + 1, y })) }],
          },
        ],
        notes: [
          'Every scan was read without an error. Memory is resident, the runtime included; scans are written by another process.',
        ],
      };
    } finally {
      rmSync(root, { recursive: true, force: true });
    }
  },
});

/** In a process of its own, whose memory does not count. */
function write(folder: string, kind: string, count: number): Promise<void> {
  const child = fork(fileURLToPath(new URL('./write-scans.ts', import.meta.url)), [folder, kind, String(count)]);
  return new Promise((resolve, reject) => {
    child.once('exit', (status) => {
      if (status === 0) resolve();
      else reject(new HysparkError('storage', { doing: `Writing ${kind} scans`, got: `status ${status}` }));
    });
  });
}

async function peak(folder: string): Promise<{ time: number; memory: number }> {
  const [file] = await findFiles([folder]);
  const service = createDataService(nodePlatform);
  const time = await milliseconds(async () => {
    const result = await service.prepare({ kind: 'NIfTI', path: file!.path, files: [file!] }, DEFAULT_PREPARE);
    if (!result.usable) throw new HysparkError('bad-file', { doing: 'Preparing the large scan', got: result.reason });
  });
  return { time, memory: process.resourceUsage().maxRSS / 1024 };
}

async function throughput(folder: string): Promise<{ time: number; scans: number }> {
  const { scans } = await openDataset(await findFiles([folder]), nodePlatform);
  const pool = createDataPool(THREADS);
  // Threads start when they are first needed: that is not counted.
  await Promise.all(Array.from({ length: THREADS }, () => pool.prepare(scans[0]!.source, DEFAULT_PREPARE)));
  const time = await milliseconds(async () => {
    await Promise.all(
      scans.map(async ({ source }) => {
        const result = await pool.prepare(source, DEFAULT_PREPARE);
        if (!result.usable)
          throw new HysparkError('bad-file', { doing: `Preparing ${source.path}`, got: result.reason });
      }),
    );
  });
  pool.close();
  return { time, scans: (60_000 * scans.length) / time };
}

/** Four crops a scan, four crops a batch, through a cache. */
async function epochOf(folder: string, cacheFolder: string) {
  const finding = await milliseconds(() => findFiles([folder]));
  const { scans } = await openDataset(await findFiles([folder]), nodePlatform);
  const pool = createDataPool(THREADS);
  const cache = await VolumeCache.open(new FolderStore(cacheFolder), 64 * 2 ** 20);
  const options = { seed: 1, batch: 4, crop: 32, prepare: { ...DEFAULT_PREPARE, spacing: 6 } };
  const loader = new DataLoader(scans, pool, cache, options);
  const quarters: number[] = [];
  const batches = loader.training.length;
  const time = await milliseconds(async () => {
    for (let i = 0; i < batches; i++) {
      await loader.next();
      if ((i + 1) % Math.ceil(batches / 4) === 0) quarters.push(process.memoryUsage().rss / 2 ** 20);
    }
  });
  loader.close();
  pool.close();
  return { finding, time, crops: (4000 * batches) / time, quarters };
}

async function milliseconds(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

/**
 * The loader in a worker of its own: discovery, hashing, cutting crops and the cache stay off the thread that feeds the
 * GPU, which only receives batches.
 */

import { HysparkError } from '../../errors.ts';
import type { Store } from '../../store/store.ts';
import { VolumeCache } from '../cache.ts';
import type { Crop } from '../crops.ts';
import { openDataset } from '../dataset.ts';
import type { SetAside } from '../discover.ts';
import { type Batch, DataLoader, type LoaderOptions, type LoaderStatistics } from '../loader.ts';
import type { Cursor } from '../sampler.ts';
import type { FoundFile, Platform } from '../source.ts';
import type { DataPool } from './pool.ts';

export interface OpenedCollection {
  /** Content hashes of the scans. */
  readonly training: readonly string[];
  readonly heldOut: readonly string[];
  /** Files that are no usable scans, as far as is known before they are read. */
  readonly setAside: readonly SetAside[];
  readonly ignored: number;
}

export interface LoaderStatus {
  readonly statistics: LoaderStatistics;
  /** Scans set aside since the loader was opened. */
  readonly setAside: readonly SetAside[];
  readonly cacheBytes: number;
  readonly cacheLimit: number;
  /** Why the cache is smaller than it was told to be, if it is. */
  readonly cacheTrouble?: string;
}

export interface LoaderService {
  /**
   * Finds the scans, and looks into those held out until one can be used. `cacheLimit` in bytes.
   * @param count told how many scans have been named, and of how many
   */
  open(
    files: readonly FoundFile[],
    options: LoaderOptions,
    cacheLimit: number,
    count?: (done: number, of: number) => void,
  ): Promise<OpenedCollection>;
  /** Continues from the cursor of an earlier batch of the same collection, or begins again. */
  seek(cursor?: Cursor): Promise<void>;
  next(): Promise<Batch>;
  /** `count` crops of held-out scan number `index`, the same ones each time; none when it was set aside. */
  evaluationCrops(index: number, count: number): Promise<readonly Crop[]>;
  status(): Promise<LoaderStatus>;
  /** Writes down the cache's order of use and stops the workers; an `open` under way rejects with `aborted`. For good. */
  close(): Promise<void>;
}

export function createLoaderService(platform: Platform, pool: DataPool, store: Store): LoaderService {
  let opened: { loader: DataLoader; cache: VolumeCache; begin(cursor?: Cursor): Promise<DataLoader> } | undefined;
  const closing = new AbortController();
  const current = () => {
    if (!opened) throw new HysparkError('bad-state', { doing: 'loading scans', got: 'a loader that is not open' });
    return opened;
  };
  return {
    async open(files, options, cacheLimit, count) {
      opened?.loader.close();
      const { scans, setAside, ignored } = await openDataset(files, platform, count, closing.signal);
      const cache = await VolumeCache.open(store, cacheLimit);
      const begin = (cursor?: Cursor) => DataLoader.open(scans, pool, cache, options, cursor);
      const loader = await begin();
      closing.signal.throwIfAborted();
      opened = { loader, cache, begin };
      const hashes = (list: typeof loader.training) => list.map(({ hash }) => hash);
      const unusable = [...setAside, ...loader.setAside.values()];
      return { training: hashes(loader.training), heldOut: hashes(loader.heldOut), setAside: unusable, ignored };
    },
    async seek(cursor) {
      const { loader, begin } = current();
      loader.close();
      current().loader = await begin(cursor);
    },
    next: async () => current().loader.next(),
    evaluationCrops: async (index, count) => current().loader.evaluationCrops(index, count),
    async status() {
      const { loader, cache } = current();
      return {
        statistics: { ...loader.statistics },
        setAside: [...loader.setAside.values()],
        cacheBytes: cache.bytes,
        cacheLimit: cache.limit,
        cacheTrouble: cache.trouble,
      };
    },
    async close() {
      closing.abort(new HysparkError('aborted', { doing: 'Loading scans', got: 'a loader that was closed' }));
      opened?.loader.close();
      await opened?.cache.flush();
      pool.close();
      opened = undefined;
    },
  };
}

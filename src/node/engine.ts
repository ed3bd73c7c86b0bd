/** The engine in Node: called directly, runs in a folder on disk, scans prepared in threads. */

import { homedir } from 'node:os';
import { join } from 'node:path';
import { createLoaderService } from '../data/worker/loader-service.ts';
import { FolderStore } from '../store/folder.ts';
import { attempt } from '../store/store.ts';
import { Engine, type EngineHost } from '../worker/engine.ts';
import { createDataPool } from './data-pool.ts';
import { nodePlatform } from './platform.ts';
import { holderOf, lockFolder } from './run-lock.ts';

export interface NodeEngineOptions {
  /** Folder that holds a folder for each run. Default `runs`. */
  readonly runs?: string;
  /** Folder for prepared scans and for which kernels are fast here. Default the user's cache folder. */
  readonly cache?: string;
}

/** An engine whose every method may be called at once. Call `dispose` at the end, or the program does not. */
export function createEngine({ runs = 'runs', cache = cacheFolder() }: NodeEngineOptions = {}): Engine {
  return new Engine(nodeHost(runs, cache));
}

function nodeHost(runs: string, cache: string): EngineHost {
  return {
    runs: new FolderStore(runs),
    cache: new FolderStore(cache),
    startLoader: () => ({
      service: createLoaderService(nodePlatform, createDataPool(), new FolderStore(cache)),
      end: () => undefined, // `close` has stopped the threads
    }),
    lock: (run) => attempt('taking', run, async () => lockFolder(join(runs, run))),
    holder: async (run) => holderOf(join(runs, run)),
  };
}

export function cacheFolder(): string {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'hyspark');
}

/** The engine in Node: called directly, runs in a folder on disk, scans prepared in threads. */

import { mkdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { createLoaderService } from '../data/worker/loader-service.ts';
import { FolderStore, isRunning } from '../store/folder.ts';
import { Engine, type EngineHost } from '../worker/engine.ts';
import { createDataPool } from './data-pool.ts';
import { nodePlatform } from './platform.ts';

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
    lock: async (run) => lockFolder(join(runs, run)),
  };
}

export function cacheFolder(): string {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'hyspark');
}

const held = new Set<string>();

/** Takes a run's folder for this process: a file with its number, which counts only while that process lives. */
function lockFolder(folder: string): (() => void) | undefined {
  const file = join(folder, 'lock');
  mkdirSync(folder, { recursive: true });
  for (let attempt = 0; attempt < 2; attempt++) {
    try {
      writeFileSync(file, String(process.pid), { flag: 'wx' });
      held.add(file);
      const release = () => {
        held.delete(file);
        rmSync(file, { force: true });
        removeIfEmpty(folder);
      };
      process.once('exit', release);
      return () => {
        process.off('exit', release);
        release();
      };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      const pid = Number(readFileSync(file, 'utf8'));
      // A number of our own that we do not hold was left by a dead process of the same number.
      if (pid === process.pid ? held.has(file) : pid > 0 && isRunning(pid)) return undefined;
      rmSync(file, { force: true });
    }
  }
  return undefined;
}

/** A run that could not start leaves nothing behind. */
function removeIfEmpty(folder: string): void {
  try {
    rmdirSync(folder);
  } catch {
    // there is something in it
  }
}

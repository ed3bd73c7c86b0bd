/** The engine in Node: called directly, runs in a folder on disk, scans prepared in threads. */

import { mkdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { createLoaderService } from '../data/worker/loader-service.ts';
import { FolderStore, isRunning } from '../store/folder.ts';
import { attempt } from '../store/store.ts';
import { Engine, type EngineHost, type RunLock } from '../worker/engine.ts';
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
    lock: (run) => attempt('taking', run, async () => lockFolder(join(runs, run))),
  };
}

export function cacheFolder(): string {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'hyspark');
}

const held = new Set<string>();

/** Takes a run's folder for this process: a file with its number and when it began, which counts only while that process lives. */
function lockFolder(folder: string): RunLock {
  const file = join(folder, 'lock');
  mkdirSync(folder, { recursive: true });
  for (let tries = 0; ; tries++) {
    try {
      writeFileSync(file, `${process.pid} ${beginningOf(process.pid) ?? ''}`, { flag: 'wx' });
      held.add(file);
      const release = () => {
        held.delete(file);
        rmSync(file, { force: true });
        removeIfEmpty(folder);
      };
      process.once('exit', release);
      return {
        release() {
          process.off('exit', release);
          release();
        },
      };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      const [pid, began] = readFileSync(file, 'utf8').split(' ') as [string, string?];
      const isHeld = Number(pid) === process.pid ? held.has(file) : isAlive(Number(pid), began);
      if (isHeld || tries > 0) {
        return { holder: `process ${pid}`, advice: `Stop it there first, or delete ${file} if that is no run` };
      }
      rmSync(file, { force: true });
    }
  }
}

/** Whether the process that wrote a lock still runs: its number may have gone to another since. */
function isAlive(pid: number, began: string | undefined): boolean {
  if (!(pid > 0) || !isRunning(pid)) return false;
  const now = beginningOf(pid);
  return !began || now === undefined || began === now;
}

/** When a process began, in clock ticks since the machine did; undefined where the system does not say (only Linux does). */
function beginningOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The 22nd field; the second, a name in parentheses, may hold spaces.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}

/** A run that could not start leaves nothing behind. */
function removeIfEmpty(folder: string): void {
  try {
    rmdirSync(folder);
  } catch {
    // there is something in it
  }
}

/**
 * A run's folder for one process alone: a file `lock` in it with the process's number and when it began, which counts
 * only while that process lives.
 */

import { linkSync, mkdirSync, readFileSync, renameSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isRunning } from '../store/folder.ts';
import type { RunLock } from '../worker/engine.ts';

/** Locks of this process. */
const held = new Set<string>();
/** Others may take and leave the lock meanwhile; so often is no chance. */
const TRIES = 10;

/** Takes the folder, which is made if it is not there, or says who has it. */
export function lockFolder(folder: string): RunLock {
  const file = join(folder, 'lock');
  const own = `${file}.${process.pid}`;
  mkdirSync(folder, { recursive: true });
  // Written whole before it becomes the lock, so that nobody reads half of it.
  writeFileSync(own, `${process.pid} ${beginningOf(process.pid) ?? ''}`);
  try {
    for (let tries = 0; tries < TRIES; tries++) {
      if (becomes(own, file)) return heldLock(folder, file);
      const text = textOf(file);
      if (text === undefined) continue; // given back just now
      if (holderOf(folder) !== undefined) break;
      dropStale(file, text);
    }
  } finally {
    rmSync(own, { force: true });
    removeIfEmpty(folder);
  }
  const holder = holderOf(folder) ?? 'another process';
  return { holder, advice: `Stop it there first, or delete ${file} if that is no run` };
}

/** The process that has the folder; undefined where none has. */
export function holderOf(folder: string): string | undefined {
  const file = join(folder, 'lock');
  const [pid, began] = (textOf(file) ?? '').split(' ');
  const isHeld = Number(pid) === process.pid ? held.has(file) : isAlive(Number(pid), began);
  return isHeld ? `process ${pid}` : undefined;
}

function heldLock(folder: string, file: string): RunLock {
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
}

/** Gives a file the lock's name, unless there is one of that name. */
function becomes(own: string, file: string): boolean {
  try {
    linkSync(own, file);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') return false;
    // Some file systems have no links.
    try {
      writeFileSync(file, readFileSync(own), { flag: 'wx' });
      return true;
    } catch (second) {
      if ((second as NodeJS.ErrnoException).code === 'EEXIST') return false;
      throw second;
    }
  }
}

/** Removes the lock of a dead process, if it is still that one: another may have put its own in its place meanwhile. */
function dropStale(file: string, text: string): void {
  const aside = `${file}.${process.pid}.stale`;
  try {
    renameSync(file, aside);
  } catch {
    return; // another was faster
  }
  if (textOf(aside) !== text) becomes(aside, file);
  rmSync(aside, { force: true });
}

function textOf(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
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

/** A collection of scans under their content hashes: what the loader draws from. */

import { discover, type SetAside } from './discover.ts';
import { type FoundFile, hashSource, inParallel, type Platform, reasonOf, type ScanSource } from './source.ts';

export interface DatasetScan {
  /** Content hash: the scan's name in logs and run folders. */
  readonly hash: string;
  readonly source: ScanSource;
}

export interface Dataset {
  /** Sorted by hash; each scan once. */
  readonly scans: readonly DatasetScan[];
  readonly setAside: readonly SetAside[];
  readonly ignored: number;
}

/** Scans hashed at the same time. */
const AT_ONCE = 8;

/** Finds the scans among `files` and names them. Scans are not read yet: a bad one is set aside when its turn comes. Rejects with the reason of `signal`. */
export async function openDataset(
  files: readonly FoundFile[],
  platform: Platform,
  progress?: (done: number, total: number) => void,
  signal?: AbortSignal,
): Promise<Dataset> {
  const found = await discover(files, platform.open, undefined, signal);
  const setAside = [...found.setAside];
  const byHash = new Map<string, ScanSource>();
  let done = 0;
  await inParallel(
    found.scans,
    AT_ONCE,
    async (source) => {
      try {
        const hash = await hashSource(source, platform);
        const other = byHash.get(hash);
        // Of equal files the one with the first path is taken, whichever was hashed first.
        const [kept, dropped] = other && other.path < source.path ? [other, source] : [source, other];
        byHash.set(hash, kept);
        if (dropped) setAside.push({ path: dropped.path, reason: `The same as ${kept.path}.` });
      } catch (error) {
        setAside.push({ path: source.path, reason: reasonOf(error) });
      }
      progress?.(++done, found.scans.length);
    },
    signal,
  );
  const scans = [...byHash].map(([hash, source]) => ({ hash, source }));
  return {
    scans: scans.sort((a, b) => (a.hash < b.hash ? -1 : 1)),
    setAside: setAside.sort((a, b) => (a.path < b.path ? -1 : 1)),
    ignored: found.ignored,
  };
}

/** Files and folders on disk as the data path wants them. */

import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { distinctPath, type FoundFile } from '../data/source.ts';
import { HysparkError } from '../errors.ts';

/**
 * Every file in the given files and folders, nested ones included. Paths are relative to what was given, below its name where several were
 * given; of two of one name the second is called `name (2)`. What is there and cannot be read is found with its `problem`. Error
 * `bad-argument` for a path that is not there.
 */
export async function findFiles(paths: readonly string[]): Promise<FoundFile[]> {
  const found: FoundFile[] = [];
  const prefixes = new Map<string, string>(); // of each folder whose files are found, given or of a given file
  const taken = new Set<string>();
  const prefixOf = (folder: string, name: string) => {
    const known = prefixes.get(folder);
    if (known !== undefined) return known;
    const free = name === '' && !taken.has('') ? '' : distinctPath(name || basename(folder), taken);
    taken.add(free);
    const prefix = free === '' ? '' : `${free}/`;
    prefixes.set(folder, prefix);
    return prefix;
  };
  for (const path of paths) {
    const info = await stat(path).catch((cause: Error) => {
      throw new HysparkError('bad-argument', {
        doing: 'looking for scans',
        got: `"${path}", which cannot be read`,
        cause,
      });
    });
    const full = resolve(path);
    if (info.isDirectory()) await walk(full, prefixOf(full, paths.length > 1 ? basename(full) : ''), found);
    else found.push(foundFile(full, prefixOf(dirname(full), '') + basename(full), info.size));
  }
  return found;
}

async function walk(folder: string, prefix: string, found: FoundFile[]): Promise<void> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => undefined);
  if (!entries) found.push({ ...foundFile(folder, prefix || basename(folder), 0), problem: UNREADABLE });
  for (const entry of entries ?? []) {
    const path = join(folder, entry.name);
    const name = prefix + entry.name;
    if (entry.isDirectory()) await walk(path, `${name}/`, found);
    else if (entry.isFile() || entry.isSymbolicLink()) {
      const info = await stat(path).catch(() => undefined);
      if (info?.isFile()) found.push(foundFile(path, name, info.size));
      // Links are followed to files, not to folders, which could lead back.
      else if (info?.isDirectory()) found.push({ ...foundFile(path, name, 0), problem: LINK });
    }
  }
}

const UNREADABLE = 'A folder that cannot be read: the rights are missing.';
const LINK = 'A link to a folder, which is not followed: give that folder itself.';

function foundFile(path: string, name: string, size: number): FoundFile {
  return { path: name, size, handle: path };
}

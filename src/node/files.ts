/** Files and folders on disk as the data path wants them. */

import { readdir, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { FoundFile } from '../data/source.ts';
import { HysparkError } from '../errors.ts';

/** Every file in the given files and folders, nested ones included. Error `bad-argument` for a path that is not there. */
export async function findFiles(paths: readonly string[]): Promise<FoundFile[]> {
  const found: FoundFile[] = [];
  for (const path of paths) {
    const info = await stat(path).catch((cause: Error) => {
      throw new HysparkError('bad-argument', {
        doing: 'looking for scans',
        got: `"${path}", which cannot be read`,
        cause,
      });
    });
    if (info.isDirectory()) await walk(path, paths.length > 1 ? `${basename(path)}/` : '', found);
    else found.push(foundFile(path, basename(path), info.size));
  }
  return found;
}

async function walk(folder: string, prefix: string, found: FoundFile[]): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) await walk(path, `${prefix}${entry.name}/`, found);
    // Links are followed to files, not to folders, which could lead back.
    else if (entry.isFile() || entry.isSymbolicLink()) {
      const info = await stat(path).catch(() => undefined);
      if (info?.isFile()) found.push(foundFile(path, prefix + entry.name, info.size));
    }
  }
}

function foundFile(path: string, name: string, size: number): FoundFile {
  return { path: name, size, handle: path };
}

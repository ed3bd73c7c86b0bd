/** A store in a folder on disk, for Node. */

import { openAsBlob } from 'node:fs';
import { mkdir, open, readdir, rename, rm, stat, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { attempt, type ByteRange, type Content, chunksOf, type Store, type StoredFile, splitPath } from './store.ts';

/** Ending of files that are still being written: a crash may leave one, which is no file of the store. */
const UNFINISHED = '.unfinished';
/** Before it stand the number of the process that writes, and one that it counts. */
const UNFINISHED_BY = /\.(\d+)-\d+\.unfinished$/;

export class FolderStore implements Store {
  readonly #root: string;
  #writes = 0;

  /** The folder is made when something is first written. */
  constructor(root: string) {
    this.#root = root;
  }

  async read(path: string, range?: ByteRange): Promise<Uint8Array<ArrayBuffer>> {
    const name = this.#resolve(path);
    return attempt('reading', path, async () => {
      const file = await open(name, 'r');
      try {
        const { size } = await file.stat();
        const start = Math.min(range?.start ?? 0, size);
        const bytes = new Uint8Array(Math.max(0, Math.min(range?.end ?? size, size) - start));
        let filled = 0;
        while (filled < bytes.length) {
          const { bytesRead } = await file.read(bytes, filled, bytes.length - filled, start + filled);
          if (bytesRead === 0) break;
          filled += bytesRead;
        }
        return bytes.subarray(0, filled);
      } finally {
        await file.close();
      }
    });
  }

  async open(path: string): Promise<Blob> {
    const name = this.#resolve(path);
    return attempt('reading', path, async () => {
      await stat(name);
      return openAsBlob(name);
    });
  }

  async write(path: string, content: Content): Promise<void> {
    const name = this.#resolve(path);
    await attempt('writing', path, async () => {
      await mkdir(dirname(name), { recursive: true });
      const unfinished = `${name}.${process.pid}-${this.#writes++}${UNFINISHED}`;
      try {
        const file = await open(unfinished, 'w');
        try {
          for await (const chunk of chunksOf(content)) await file.writeFile(chunk);
          await file.sync();
        } finally {
          await file.close();
        }
        await rename(unfinished, name);
      } catch (error) {
        await rm(unfinished, { force: true });
        throw error;
      }
    });
  }

  async append(path: string, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    const name = this.#resolve(path);
    await attempt('writing', path, async () => {
      await mkdir(dirname(name), { recursive: true });
      const file = await open(name, 'a');
      try {
        await file.writeFile(bytes);
      } finally {
        await file.close();
      }
    });
  }

  async list(prefix = ''): Promise<StoredFile[]> {
    return attempt('listing', prefix, async () => {
      const found: StoredFile[] = [];
      await this.#walk('', prefix, found);
      return found.sort((a, b) => (a.path < b.path ? -1 : 1));
    });
  }

  async size(path: string): Promise<number | undefined> {
    const name = this.#resolve(path);
    return attempt('looking at', path, async () => {
      const info = await stat(name).catch(ifMissing);
      return info?.isFile() ? info.size : undefined;
    });
  }

  async remove(path: string): Promise<void> {
    const name = this.#resolve(path);
    await attempt('removing', path, () => rm(name, { recursive: true, force: true }));
  }

  async clean(folder = ''): Promise<void> {
    await attempt('cleaning', folder, async () => {
      const root = folder ? this.#resolve(folder) : this.#root;
      for (const name of (await readdir(root, { recursive: true }).catch(ifMissing)) ?? []) {
        const writer = UNFINISHED_BY.exec(name)?.[1];
        if (writer && !isRunning(Number(writer))) await rm(join(root, name), { force: true });
      }
    });
  }

  async free(): Promise<number | undefined> {
    const info = await statfs(this.#root).catch(() => undefined);
    return info && info.bavail * info.bsize;
  }

  async #walk(folder: string, prefix: string, found: StoredFile[]): Promise<void> {
    const entries = (await readdir(join(this.#root, folder), { withFileTypes: true }).catch(ifMissing)) ?? [];
    for (const entry of entries) {
      const path = folder + entry.name;
      const wanted = path.startsWith(prefix) || prefix.startsWith(`${path}/`);
      if (!wanted) continue;
      if (entry.isDirectory()) await this.#walk(`${path}/`, prefix, found);
      else if (entry.isFile() && !path.endsWith(UNFINISHED)) {
        const info = await stat(join(this.#root, path)).catch(ifMissing);
        if (info) found.push({ path, size: info.size });
      }
    }
  }

  #resolve(path: string): string {
    return join(this.#root, ...splitPath(path));
  }
}

/** Whether there is a process of that number, ours or another user's. */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Undefined for a file that is not there; other errors go on. */
function ifMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT' && error.code !== 'ENOTDIR') throw error;
}

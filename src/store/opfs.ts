/**
 * A store in the browser's origin private file system. Works in pages and workers; nothing leaves the machine. A new
 * file exists, empty, before its first bytes are swapped in; so that a crash between leaves nothing behind, empty
 * files count as not there.
 */

import { attempt, type ByteRange, type Content, chunksOf, type Store, type StoredFile, splitPath } from './store.ts';

/** The DOM library lacks the iterator of directories. */
type Entries = { entries(): AsyncIterableIterator<[string, FileSystemHandle]> };

export class OpfsStore implements Store {
  readonly #folder: string;

  /** `folder` keeps what belongs to this store apart from the rest of the origin's files. */
  constructor(folder = 'hyspark') {
    this.#folder = folder;
  }

  async read(path: string, range?: ByteRange): Promise<Uint8Array<ArrayBuffer>> {
    return attempt('reading', path, async () => {
      const file = await (await this.#file(path, false)).getFile();
      if (file.size === 0) throw new DOMException('', 'NotFoundError');
      const part = range ? file.slice(range.start, Math.min(range.end, file.size)) : file;
      return new Uint8Array(await part.arrayBuffer());
    });
  }

  async open(path: string): Promise<Blob> {
    return attempt('reading', path, async () => {
      const file = await (await this.#file(path, false)).getFile();
      if (file.size === 0) throw new DOMException('', 'NotFoundError');
      return file;
    });
  }

  /** The browser writes to a copy and swaps it in when the stream closes. */
  async write(path: string, content: Content): Promise<void> {
    await this.#put(path, content, false);
  }

  async append(path: string, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    await this.#put(path, bytes, true);
  }

  async list(prefix = ''): Promise<StoredFile[]> {
    return attempt('listing', prefix, async () => {
      const found: StoredFile[] = [];
      await walk(await this.#root(), '', prefix, found);
      return found.sort((a, b) => (a.path < b.path ? -1 : 1));
    });
  }

  async size(path: string): Promise<number | undefined> {
    return attempt('looking at', path, async () => {
      try {
        return (await (await this.#file(path, false)).getFile()).size || undefined;
      } catch (error) {
        return ifMissing(error);
      }
    });
  }

  async remove(path: string): Promise<void> {
    await attempt('removing', path, async () => {
      const names = splitPath(path);
      try {
        const folder = await this.#directory(names.slice(0, -1), false);
        await folder.removeEntry(names.at(-1)!, { recursive: true });
      } catch (error) {
        ifMissing(error);
      }
    });
  }

  async free(): Promise<number | undefined> {
    const { quota, usage } = await navigator.storage.estimate();
    return quota === undefined || usage === undefined ? undefined : quota - usage;
  }

  async #put(path: string, content: Content, keep: boolean): Promise<void> {
    await attempt('writing', path, async () => {
      const handle = await this.#file(path, true);
      const stream = await handle.createWritable({ keepExistingData: keep });
      try {
        if (keep) await stream.seek((await handle.getFile()).size);
        for await (const chunk of chunksOf(content)) await stream.write(chunk);
        await stream.close();
      } catch (error) {
        await stream.abort().catch(() => undefined);
        // Chrome reports a full disk in the middle of a large write as a broken pipe, and its estimate lags behind.
        throw /data pipe/.test(String(error)) ? new DOMException('', 'QuotaExceededError') : error;
      }
    });
  }

  async #file(path: string, create: boolean): Promise<FileSystemFileHandle> {
    const names = splitPath(path);
    const folder = await this.#directory(names.slice(0, -1), create);
    return folder.getFileHandle(names.at(-1)!, { create });
  }

  async #directory(names: readonly string[], create: boolean): Promise<FileSystemDirectoryHandle> {
    let folder = await this.#root();
    for (const name of names) folder = await folder.getDirectoryHandle(name, { create });
    return folder;
  }

  async #root(): Promise<FileSystemDirectoryHandle> {
    const origin = await navigator.storage.getDirectory();
    return origin.getDirectoryHandle(this.#folder, { create: true });
  }
}

async function walk(folder: FileSystemDirectoryHandle, at: string, prefix: string, found: StoredFile[]): Promise<void> {
  for await (const [name, handle] of (folder as FileSystemDirectoryHandle & Entries).entries()) {
    const path = at + name;
    if (!path.startsWith(prefix) && !prefix.startsWith(`${path}/`)) continue;
    if (handle.kind === 'directory') await walk(handle as FileSystemDirectoryHandle, `${path}/`, prefix, found);
    // Chrome shows the copies of files being written under this ending.
    else if (!name.endsWith('.crswap')) {
      const { size } = await (handle as FileSystemFileHandle).getFile();
      if (size > 0) found.push({ path, size });
    }
  }
}

/** Undefined for what is not there; other errors go on. */
function ifMissing(error: unknown): undefined {
  const { name } = error as { name?: string };
  if (name !== 'NotFoundError' && name !== 'TypeMismatchError') throw error;
}

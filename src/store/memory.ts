/** A store in memory, for tests. It can be given a size, to see what a full disk does. */

import {
  type ByteRange,
  type Content,
  chunksOf,
  type Store,
  type StoredFile,
  splitPath,
  storageError,
} from './store.ts';

export class MemoryStore implements Store {
  readonly #files = new Map<string, Uint8Array<ArrayBuffer>>();
  /** Bytes that fit; may be changed at any time. */
  capacity: number;

  constructor(capacity = Number.POSITIVE_INFINITY) {
    this.capacity = capacity;
  }

  async read(path: string, range?: ByteRange): Promise<Uint8Array<ArrayBuffer>> {
    splitPath(path);
    const bytes = this.#files.get(path);
    if (!bytes) throw storageError('reading', path, { code: 'ENOENT' });
    return range ? bytes.slice(range.start, range.end) : bytes.slice();
  }

  async open(path: string): Promise<Blob> {
    return new Blob([await this.read(path)]);
  }

  async write(path: string, content: Content): Promise<void> {
    splitPath(path);
    const parts: Uint8Array<ArrayBuffer>[] = [];
    for await (const chunk of chunksOf(content)) parts.push(chunk);
    const bytes = new Uint8Array(await new Blob(parts).arrayBuffer());
    const growth = bytes.length - (this.#files.get(path)?.length ?? 0);
    if (this.#used() + growth > this.capacity) throw storageError('writing', path, { code: 'ENOSPC' });
    this.#files.set(path, bytes);
  }

  async append(path: string, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    const old = this.#files.get(path) ?? new Uint8Array(0);
    const joined = new Uint8Array(old.length + bytes.length);
    joined.set(old);
    joined.set(bytes, old.length);
    await this.write(path, joined);
  }

  async list(prefix = ''): Promise<StoredFile[]> {
    return [...this.#files]
      .filter(([path]) => path.startsWith(prefix))
      .map(([path, bytes]) => ({ path, size: bytes.length }))
      .sort((a, b) => (a.path < b.path ? -1 : 1));
  }

  async size(path: string): Promise<number | undefined> {
    splitPath(path);
    return this.#files.get(path)?.length;
  }

  async remove(path: string): Promise<void> {
    splitPath(path);
    for (const name of [...this.#files.keys()]) {
      if (name === path || name.startsWith(`${path}/`)) this.#files.delete(name);
    }
  }

  /** Nothing can be left here. */
  async clean(): Promise<void> {}

  async free(): Promise<number | undefined> {
    return this.capacity - this.#used();
  }

  #used(): number {
    let sum = 0;
    for (const bytes of this.#files.values()) sum += bytes.length;
    return sum;
  }
}

/**
 * Prepared volumes kept between epochs and between runs. The cache has a limit in bytes, drops what was used longest
 * ago, and never fails a run: when the disk is full it becomes smaller.
 */

import { isFull, type Store } from '../store/store.ts';
import { decodePlanes, decodeShape, encodeVolume, headBytes, type PreparedVolume, volumeBytes } from './prepare.ts';
import type { VolumeReader } from './volume-reader.ts';

/** Of the store: holds nothing but what can be made again. */
export const VOLUMES = 'volumes';

const INDEX = `${VOLUMES}/index.json`;
/** Uses after which the order of use is written down. */
const INDEX_EVERY = 32;

interface Entry {
  readonly size: number;
  /** Larger is later. */
  used: number;
}

export class VolumeCache {
  readonly #store: Store;
  readonly #entries = new Map<string, Entry>();
  #limit: number;
  #clock = 0;
  #unwritten = 0;
  #last: Promise<unknown> = Promise.resolve();
  /** Why the cache is smaller than it was told to be, if it is. */
  trouble: string | undefined;

  private constructor(store: Store, limit: number) {
    this.#store = store;
    this.#limit = limit;
  }

  /** The cache in `store` with what earlier runs left there, of at most `limit` bytes. */
  static async open(store: Store, limit: number): Promise<VolumeCache> {
    const cache = new VolumeCache(store, limit);
    const used = await readIndex(store);
    await store.clean(VOLUMES);
    for (const { path, size } of await store.list(`${VOLUMES}/`)) {
      if (path === INDEX) continue;
      cache.#entries.set(path, { size, used: used[path] ?? 0 });
    }
    cache.#clock = Math.max(0, ...Object.values(used)) + 1;
    await cache.#exclusively(() => cache.#evict(0));
    return cache;
  }

  /** Bytes in use. */
  get bytes(): number {
    let sum = 0;
    for (const { size } of this.#entries.values()) sum += size;
    return sum;
  }

  get limit(): number {
    return this.#limit;
  }

  get count(): number {
    return this.#entries.size;
  }

  /** The volume of `key`, or undefined when it is not there or cannot be read. */
  async get(key: string): Promise<VolumeReader | undefined> {
    const path = `${VOLUMES}/${key}`;
    const entry = this.#entries.get(path);
    if (!entry) return undefined;
    try {
      const shape = decodeShape(await this.#store.read(path, { start: 0, end: 16 }), entry.size);
      if (shape === undefined) throw new Error('not a volume');
      const head = headBytes(shape[0]);
      const planes = decodePlanes(await this.#store.read(path, { start: 0, end: head }));
      entry.used = this.#clock++;
      await this.#noteUse();
      const planeBytes = 2 * shape[1] * shape[2];
      const read = async (start: number, end: number) => {
        const bytes = await this.#store.read(path, { start: head + start * planeBytes, end: head + end * planeBytes });
        return new Uint16Array(bytes.slice().buffer);
      };
      return { shape, planes, read };
    } catch {
      // Damaged, or another tab removed it: it will be prepared again.
      this.#entries.delete(path);
      await this.#store.remove(path).catch(() => undefined);
      return undefined;
    }
  }

  /** Keeps `volume` if it fits, dropping others. Whether it was kept. */
  async put(key: string, volume: PreparedVolume): Promise<boolean> {
    const path = `${VOLUMES}/${key}`;
    return this.#exclusively(async () => {
      if (volumeBytes(volume) > this.#limit) return false;
      const bytes = encodeVolume(volume);
      for (;;) {
        await this.#evict(bytes.length);
        if (this.bytes + bytes.length > this.#limit) return false; // what cannot be removed stays
        try {
          await this.#store.write(path, bytes);
          this.#entries.set(path, { size: bytes.length, used: this.#clock++ });
          await this.#noteUse();
          return true;
        } catch (error) {
          this.trouble = error instanceof Error ? error.message : String(error);
          // Others may fill the disk too: make do with what is there, and try once more after dropping a volume.
          if (!isFull(error) || this.#entries.size === 0) return false;
          this.#limit = Math.max(0, this.bytes - 1);
          if (bytes.length > this.#limit) return false;
        }
      }
    });
  }

  /** Writes down the order of use. */
  async flush(): Promise<void> {
    const used = Object.fromEntries([...this.#entries].map(([path, entry]) => [path, entry.used]));
    const bytes = new TextEncoder().encode(JSON.stringify(used));
    this.#unwritten = 0;
    // Without it the next run only knows less well what to drop.
    await this.#store.write(INDEX, bytes).catch(() => undefined);
  }

  /** Drops volumes, the one used longest ago first, until `more` bytes fit. */
  async #evict(more: number): Promise<void> {
    const oldest = [...this.#entries].sort(([, a], [, b]) => a.used - b.used);
    let bytes = this.bytes;
    for (const [path, { size }] of oldest) {
      if (bytes + more <= this.#limit) break;
      try {
        await this.#store.remove(path);
      } catch (error) {
        this.trouble = error instanceof Error ? error.message : String(error);
        continue;
      }
      this.#entries.delete(path);
      bytes -= size;
    }
  }

  async #noteUse(): Promise<void> {
    if (++this.#unwritten >= INDEX_EVERY) await this.flush();
  }

  /** Changes run one after another. */
  #exclusively<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work);
    this.#last = result.catch(() => undefined);
    return result;
  }
}

/** When each volume was last used; empty when that was not written down or is damaged. */
async function readIndex(store: Store): Promise<Record<string, number>> {
  try {
    const parsed: unknown = JSON.parse(new TextDecoder().decode(await store.read(INDEX)));
    const entries = Object.entries(parsed as object).filter(([, used]) => Number.isFinite(used));
    return Object.fromEntries(entries) as Record<string, number>;
  } catch {
    return {};
  }
}

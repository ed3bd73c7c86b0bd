/**
 * Batches of training crops, prepared ahead. Which crops come in which order follows from the seed and the scans
 * alone, whatever the number of workers, the cache and the speed of the disk; a cursor continues exactly where an
 * earlier run stopped.
 */

import { HysparkError } from '../errors.ts';
import { Random } from '../random.ts';
import type { Triple } from './affine.ts';
import type { VolumeCache } from './cache.ts';
import { type Crop, drawCrop, FLIP_PROBABILITIES } from './crops.ts';
import type { DatasetScan } from './dataset.ts';
import type { SetAside } from './discover.ts';
import { parametersHash } from './hash.ts';
import { DEFAULT_PREPARE, type PrepareOptions } from './prepare.ts';
import { type Cursor, START, splitHeldOut, visits } from './sampler.ts';
import { memoryReader, type VolumeReader } from './volume-reader.ts';
import type { DataPool } from './worker/pool.ts';
import type { PrepareResult } from './worker/protocol.ts';

export interface LoaderOptions {
  readonly seed: number;
  /** Crops a batch. */
  readonly batch: number;
  /** Edge of a crop, voxels. Default 96. */
  readonly crop?: number;
  /** Crops from each visit to a scan. Default 4. */
  readonly cropsPerScan?: number;
  /** Probability of a flip along x, y, z. Default 0.2, 0.2, 0.1. */
  readonly flips?: Triple;
  /** Share of the scans held out. Default 0.1. */
  readonly heldOut?: number;
  readonly prepare?: Omit<PrepareOptions, 'least'>;
  /** Scans in flight: being read, or waiting as crops. Default one more than there are workers. */
  readonly ahead?: number;
}

export interface CropInfo {
  /** The scan's content hash. */
  readonly hash: string;
  readonly epoch: number;
  readonly start: Triple;
  readonly flips: readonly [boolean, boolean, boolean];
}

export interface Batch {
  /** `[batch, x, y, z]`, z fastest, values in 0..1. */
  readonly voxels: Float32Array<ArrayBuffer>;
  readonly crops: readonly CropInfo[];
  /** The crop after this batch's last: where a resumed run continues. */
  readonly cursor: Cursor;
}

export interface LoaderStatistics {
  /** Milliseconds that `next` kept its caller waiting. */
  waitedMs: number;
  /** Milliseconds since the first call of `next`. */
  elapsedMs: number;
  batches: number;
  /** Visits whose volume came from the cache, and those that read the scan. */
  cached: number;
  prepared: number;
}

/** The crops of one visit, with the cursor of the first. */
interface Visit {
  readonly at: Cursor;
  readonly hash: string;
  readonly crops: readonly Crop[];
}

export class DataLoader {
  readonly training: readonly DatasetScan[];
  readonly heldOut: readonly DatasetScan[];
  /** Scans that could not be used, by hash, with the reason; grows while the run goes on. */
  readonly setAside = new Map<string, SetAside>();
  readonly #pool: DataPool;
  readonly #cache: VolumeCache | undefined;
  readonly #options: Required<Omit<LoaderOptions, 'prepare'>>;
  readonly #prepare: PrepareOptions;
  readonly #sequence: ReturnType<typeof visits>;
  readonly #ahead: Promise<Visit | undefined>[] = [];
  readonly #statistics: LoaderStatistics = { waitedMs: 0, elapsedMs: 0, batches: 0, cached: 0, prepared: 0 };
  readonly #preparing = new Map<string, Promise<PrepareResult>>();
  #cacheSuffix: Promise<string>;
  #started = 0;
  #current: Visit | undefined;
  #next = 0;
  #closed = false;

  /**
   * `cursor` is that of the last batch of an earlier run. Error `bad-argument` for options out of range, `set-aside`
   * when there is no scan to train on.
   */
  constructor(
    scans: readonly DatasetScan[],
    pool: DataPool,
    cache: VolumeCache | undefined,
    options: LoaderOptions,
    cursor: Cursor = START,
  ) {
    this.#options = {
      crop: 96,
      cropsPerScan: 4,
      flips: FLIP_PROBABILITIES,
      heldOut: 0.1,
      ahead: pool.size + 1,
      ...options,
    };
    checkOptions(this.#options);
    const { training, heldOut } = splitHeldOut(scans, this.#options.heldOut, options.seed);
    if (training.length === 0) throw new HysparkError('set-aside', { doing: 'loading scans', got: 'no scan' });
    if (!(cursor.scan <= training.length && cursor.crop < this.#options.cropsPerScan)) {
      throw new HysparkError('mismatch', {
        doing: 'resuming',
        got: `a cursor at scan ${cursor.scan}, crop ${cursor.crop}`,
        need: `one within ${training.length} scans and ${this.#options.cropsPerScan} crops a scan`,
        advice: 'The collection or the options have changed since the run was saved',
      });
    }
    this.training = training;
    this.heldOut = heldOut;
    this.#pool = pool;
    this.#cache = cache;
    this.#prepare = { ...DEFAULT_PREPARE, ...options.prepare, least: this.#options.crop };
    this.#cacheSuffix = parametersHash(this.#prepare);
    this.#sequence = visits(options.seed, training.length, cursor);
  }

  /**
   * As the constructor, but sees to it that a scan on each side can be used: those of a side where none can are set aside, and the
   * others shared out anew.
   */
  static async open(
    ...[scans, pool, cache, options, cursor]: ConstructorParameters<typeof DataLoader>
  ): Promise<DataLoader> {
    const bad = new Map<string, SetAside>();
    for (;;) {
      const left = scans.filter(({ hash }) => !bad.has(hash));
      if (left.length === 0 && bad.size > 0) throw nothingUsable(scans.length, bad);
      const loader = new DataLoader(left, pool, cache, options, cursor);
      for (const [hash, reason] of bad) loader.setAside.set(hash, reason);
      const isUsable = (await loader.#anyUsable(loader.heldOut)) && (await loader.#anyUsable(loader.training));
      if (isUsable) return loader;
      for (const [hash, reason] of loader.setAside) bad.set(hash, reason);
    }
  }

  /** Whether one of the scans can be used, or there is none; those before it are set aside. */
  async #anyUsable(scans: readonly DatasetScan[]): Promise<boolean> {
    for (const scan of scans) if (await this.#withVolume(scan, async () => true)) return true;
    return scans.length === 0;
  }

  /** The next batch. Errors: `set-aside` when no scan of a whole epoch was usable, `aborted` after `close`. */
  async next(): Promise<Batch> {
    const began = performance.now();
    if (this.#started === 0) this.#started = began;
    const { batch, crop: size } = this.#options;
    const voxels = new Float32Array(batch * size ** 3);
    const crops: CropInfo[] = [];
    let cursor = START;
    for (let i = 0; i < batch; i++) {
      const { visit, crop, index } = await this.#nextCrop();
      voxels.set(crop.voxels, i * size ** 3);
      crops.push({ hash: visit.hash, epoch: visit.at.epoch, start: crop.start, flips: crop.flips });
      cursor = this.#after(visit.at, index);
    }
    const now = performance.now();
    this.#statistics.waitedMs += now - began;
    this.#statistics.elapsedMs = now - this.#started;
    this.#statistics.batches++;
    return { voxels, crops, cursor };
  }

  /**
   * `count` crops of held-out scan number `index`, not flipped and the same ones each time; none when it was set
   * aside. Where nothing is held out, of training scan number `index`.
   */
  async evaluationCrops(index: number, count: number): Promise<Crop[]> {
    const scans = this.heldOut.length > 0 ? this.heldOut : this.training;
    const scan = scans[index];
    if (!scan) {
      const need = `0 to ${scans.length - 1}`;
      throw new HysparkError('bad-argument', { doing: 'evaluation crops', got: `scan ${index}`, need });
    }
    const crops = await this.#withVolume(scan, (reader) =>
      this.#drawCrops(reader, scan.hash, 'evaluation', 0, count, [0, 0, 0]),
    );
    return crops ?? [];
  }

  /** The share of the time since the first batch that was spent waiting for data is `waitedMs / elapsedMs`. */
  get statistics(): Readonly<LoaderStatistics> {
    return this.#statistics;
  }

  /** No further scans are read. Workers and cache belong to whoever made them. */
  close(): void {
    this.#closed = true;
    this.#ahead.length = 0;
  }

  async #nextCrop(): Promise<{ visit: Visit; crop: Crop; index: number }> {
    for (let skipped = 0; ; skipped++) {
      const visit = this.#current;
      if (visit && this.#next < visit.crops.length) {
        const index = this.#next++;
        return { visit, crop: visit.crops[index]!, index };
      }
      if (skipped > this.training.length) throw nothingUsable(this.training.length, this.setAside);
      this.#current = await this.#nextVisit();
      this.#next = 0;
    }
  }

  /** The oldest visit in flight; undefined for a scan that was set aside. Others are started in its place. */
  async #nextVisit(): Promise<Visit | undefined> {
    if (this.#closed) throw new HysparkError('aborted', { doing: 'loading scans', got: 'a loader that was closed' });
    while (this.#ahead.length < this.#options.ahead) {
      const visit = this.#visit(this.#sequence.next().value!);
      // A failure is reported when its turn comes, not as an unhandled rejection before.
      visit.catch(() => undefined);
      this.#ahead.push(visit);
    }
    return this.#ahead.shift()!;
  }

  async #visit(at: Cursor & { readonly index: number }): Promise<Visit | undefined> {
    const scan = this.training[at.index]!;
    const { cropsPerScan, flips } = this.#options;
    const crops = await this.#withVolume(scan, (reader) =>
      this.#drawCrops(reader, scan.hash, at.epoch, at.crop, cropsPerScan, flips),
    );
    return crops && { at, hash: scan.hash, crops };
  }

  /** Crops number `first` up to `count` of a scan in an epoch. */
  async #drawCrops(
    reader: VolumeReader,
    hash: string,
    epoch: number | string,
    first: number,
    count: number,
    flips: Triple,
  ): Promise<Crop[]> {
    const crops: Crop[] = [];
    for (let i = first; i < count; i++) {
      const random = Random.of(this.#options.seed, 'crop', hash, epoch, i);
      crops.push(await drawCrop(reader, this.#options.crop, flips, random));
    }
    return crops;
  }

  /** `use` on the scan's volume, from the cache or prepared now; undefined when the scan was set aside. */
  async #withVolume<T>(scan: DatasetScan, use: (reader: VolumeReader) => Promise<T>): Promise<T | undefined> {
    if (this.setAside.has(scan.hash)) return undefined;
    const key = `${scan.hash}-${await this.#cacheSuffix}`;
    const cached = await this.#cache?.get(key);
    if (cached) {
      try {
        const result = await use(cached);
        this.#statistics.cached++;
        return result;
      } catch {
        // The volume was evicted or damaged meanwhile.
      }
    }
    const prepared = await this.#prepared(scan, key);
    if (!prepared.usable) {
      this.setAside.set(scan.hash, { path: scan.source.path, reason: prepared.reason });
      return undefined;
    }
    return use(memoryReader(prepared.volume));
  }

  /** The scan's volume, prepared now and put into the cache; once where several visits come at the same time. */
  #prepared(scan: DatasetScan, key: string): Promise<PrepareResult> {
    const prepare = async () => {
      const prepared = await this.#pool.prepare(scan.source, this.#prepare, scan.hash);
      this.#statistics.prepared++;
      if (prepared.usable) await this.#cache?.put(key, prepared.volume);
      return prepared;
    };
    const result = this.#preparing.get(key) ?? prepare().finally(() => this.#preparing.delete(key));
    this.#preparing.set(key, result);
    return result;
  }

  /** The cursor of the crop after number `index` of the visit that began at `at`. */
  #after(at: Cursor, index: number): Cursor {
    const crop = at.crop + index + 1;
    if (crop < this.#options.cropsPerScan) return { ...plain(at), crop };
    return { epoch: at.epoch, scan: at.scan + 1, crop: 0 };
  }
}

function nothingUsable(scans: number, setAside: ReadonlyMap<string, SetAside>): HysparkError {
  const reasons = [...setAside.values()].slice(0, 3).map(({ reason }) => reason);
  return new HysparkError('set-aside', {
    doing: 'loading scans',
    got: `${scans} scans of which none could be used (${reasons.join(' ')})`,
    need: 'at least one CT scan',
  });
}

function plain({ epoch, scan, crop }: Cursor): Cursor {
  return { epoch, scan, crop };
}

function checkOptions({ batch, crop, cropsPerScan, heldOut, ahead }: Required<Omit<LoaderOptions, 'prepare'>>): void {
  const bad = (name: string, got: number, need: string) =>
    new HysparkError('bad-argument', { doing: `loader: option "${name}"`, got: String(got), need });
  const whole: [string, number][] = [
    ['batch', batch],
    ['crop', crop],
    ['cropsPerScan', cropsPerScan],
    ['ahead', ahead],
  ];
  for (const [name, value] of whole)
    if (!Number.isInteger(value) || value < 1) throw bad(name, value, 'a whole number from 1');
  if (crop % 16 !== 0) throw bad('crop', crop, 'a multiple of 16');
  if (!(heldOut >= 0 && heldOut < 1)) throw bad('heldOut', heldOut, '0 up to, not including, 1');
}

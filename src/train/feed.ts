/** A run's side of the loader: crops one pass ahead, where they continue, which scans they are of. */

import type { Batch } from '../data/loader.ts';
import type { Cursor } from '../data/sampler.ts';
import type { FoundFile } from '../data/source.ts';
import type { LoaderService } from '../data/worker/loader-service.ts';
import { HysparkError } from '../errors.ts';
import type { CollectionReport, RunConfig } from './types.ts';

type Scans = Pick<CollectionReport, 'training' | 'heldOut'>;

export class Feed {
  /** The crop after the last one taken: what a checkpoint keeps. Undefined at the beginning. */
  cursor: Cursor | undefined;
  private upcoming: Promise<Batch> | undefined;
  private readonly named = new Set<string>();

  constructor(
    private readonly loader: LoaderService,
    private readonly warn: (text: string) => void,
  ) {}

  /** Finds the scans; those that are not usable are named. `cacheLimit` in bytes; `count` is told how many scans have a name. */
  async open(
    files: readonly FoundFile[],
    config: RunConfig,
    cacheLimit: number,
    count: (done: number, of: number) => void,
  ): Promise<CollectionReport> {
    const { batch, seed, cropsPerScan, flips, heldOut, model } = config;
    const options = { batch, seed, cropsPerScan, flips, heldOut, crop: model.crop };
    const collection = await this.loader.open(files, options, cacheLimit, count);
    this.name(collection.setAside);
    return collection;
  }

  /** Continues from `cursor`, or begins again. */
  async seek(cursor: Cursor | undefined): Promise<void> {
    this.upcoming = undefined;
    this.cursor = cursor;
    await this.loader.seek(cursor);
  }

  /** The volumes [batch, crop, crop, crop] of so many passes, and which crops they are. */
  async take(passes: number): Promise<{ readonly volumes: Float32Array[]; readonly crops: Batch['crops'] }> {
    const volumes: Float32Array[] = [];
    const crops: Batch['crops'][number][] = [];
    let { cursor } = this;
    for (let n = 0; n < passes; n++) {
      const batch = await (this.upcoming ?? this.loader.next());
      this.upcoming = this.loader.next();
      this.upcoming.catch(() => undefined); // it is heard of when its turn comes
      volumes.push(batch.voxels);
      crops.push(...batch.crops);
      cursor = batch.cursor;
    }
    this.cursor = cursor; // only now: a step takes all its passes or none
    return { volumes, crops };
  }

  /** Names scans that have turned out to be unusable. */
  async nameSetAside(): Promise<void> {
    this.name((await this.loader.status()).setAside);
  }

  private name(list: CollectionReport['setAside']): void {
    for (const { path, reason } of list) {
      const text = `Set aside: ${path}: ${reason}`;
      if (!this.named.has(text)) this.warn(text);
      this.named.add(text);
    }
  }
}

/** Error `mismatch` unless the scans are those that the run was started with. */
export function needSameScans(then: Scans, now: Scans): void {
  const list = ({ training, heldOut }: Scans) => [...training, '', ...heldOut].join();
  if (list(then) === list(now)) return;
  const before = new Set([...then.training, ...then.heldOut]);
  const after = new Set([...now.training, ...now.heldOut]);
  const missing = [...before].filter((hash) => !after.has(hash));
  const added = [...after].filter((hash) => !before.has(hash));
  throw new HysparkError('mismatch', {
    doing: 'Resuming a run',
    got: `other scans: ${missing.length} missing${missing.length > 0 ? ` (${missing.slice(0, 3).join(', ')})` : ''}, ${added.length} new`,
    need: `the ${before.size} scans that it was started with`,
    advice: 'Give the same files, or start a new run from its weights',
  });
}

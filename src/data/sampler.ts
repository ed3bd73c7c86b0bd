/** Which scan comes when, which are held out: from the seed and the scans' hashes alone. */

import { Random } from '../random.ts';

/** A place in the endless sequence of training crops; it points at the next crop to come. */
export interface Cursor {
  readonly epoch: number;
  /** Place in the epoch's order of scans. */
  readonly scan: number;
  /** Crop of that scan. */
  readonly crop: number;
}

export const START: Cursor = { epoch: 0, scan: 0, crop: 0 };

/** The order in which epoch `epoch` visits `count` scans. */
function epochOrder(seed: number, epoch: number, count: number): Uint32Array {
  return Random.of(seed, 'order', epoch).permutation(count);
}

/**
 * Scans for training and scans held out, each sorted by hash. A scan's side depends on the seed and on how its hash
 * ranks among the others', not on file names or their order. At least one scan is held out where there are two and
 * `fraction` is above 0, and at least one is left for training.
 */
export function splitHeldOut<T extends { readonly hash: string }>(
  scans: readonly T[],
  fraction: number,
  seed: number,
): { training: T[]; heldOut: T[] } {
  const rank = new Map(scans.map(({ hash }) => [hash, Random.of(seed, 'held-out', hash).word(0)]));
  const byRank = [...scans].sort((a, b) => rank.get(a.hash)! - rank.get(b.hash)! || compare(a.hash, b.hash));
  const wanted = fraction > 0 ? Math.max(1, Math.round(scans.length * fraction)) : 0;
  const count = Math.min(wanted, Math.max(0, scans.length - 1));
  const byHash = (a: T, b: T) => compare(a.hash, b.hash);
  return { training: byRank.slice(count).sort(byHash), heldOut: byRank.slice(0, count).sort(byHash) };
}

/** The scans to visit from `cursor` on, without end: places in the list of training scans. */
export function* visits(seed: number, count: number, cursor: Cursor): Generator<Cursor & { readonly index: number }> {
  for (let { epoch, scan, crop } = cursor; ; epoch++) {
    const order = epochOrder(seed, epoch, count);
    for (; scan < count; scan++) {
      yield { epoch, scan, crop, index: order[scan]! };
      crop = 0;
    }
    scan = 0;
  }
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

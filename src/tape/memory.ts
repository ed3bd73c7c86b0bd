/**
 * Places activations in a few large arenas. Two tensors may share bytes when their lifetimes do not meet. A launch may not
 * read and write the same GPU buffer (WebGPU's usage scope is the whole buffer), so what a launch reads and what
 * it writes are kept in different arenas.
 */

import { HysparkError } from '../errors.ts';
import type { Dispatch } from './tape.ts';
import type { Tensor } from './tensor.ts';
import { align } from './variables.ts';

export interface Lifetime {
  readonly tensor: Tensor;
  /** Index of the launch that first writes it. */
  readonly first: number;
  /** Index of the last launch that uses it; the number of launches when it must survive the step. */
  last: number;
  /** Tensors that may not lie in the same arena. */
  readonly apart: Set<Tensor>;
}

export interface Placement {
  readonly arena: number;
  readonly offset: number;
}

export interface MemoryLayout {
  readonly places: ReadonlyMap<Tensor, Placement>;
  readonly arenaBytes: readonly number[];
  /** The most bytes alive at once: what no layout can go below. */
  readonly liveBytes: number;
}

/** The activation whose memory a tensor takes, if it takes an activation's. */
function activationOf(tensor: Tensor): Tensor | undefined {
  const home = tensor.home ?? tensor;
  return home.kind === 'activation' ? home : undefined;
}

/** First and last use of every activation, those with a home among them counted as its uses. Throws `bad-state` when one is read before it is written. */
export function lifetimes(dispatches: readonly Dispatch[], outputs: readonly Tensor[]): Map<Tensor, Lifetime> {
  const found = new Map<Tensor, Lifetime>();
  dispatches.forEach(({ kernel, tensors, label }, index) => {
    const local = tensors.map(activationOf);
    local.forEach((tensor, i) => {
      if (!tensor) return;
      const known = found.get(tensor);
      if (known) known.last = index;
      else if (kernel.bindings[i]!.access === 'write')
        found.set(tensor, { tensor, first: index, last: index, apart: new Set() });
      else
        throw new HysparkError('bad-state', {
          doing: `Planning ${label}`,
          got: `"${tensor.name}" is read before it is written`,
        });
    });
    for (const [i, a] of local.entries()) {
      if (!a || kernel.bindings[i]!.access === 'read') continue;
      for (const [j, b] of local.entries()) {
        if (!b || kernel.bindings[j]!.access !== 'read') continue;
        found.get(a)!.apart.add(b);
        found.get(b)!.apart.add(a);
      }
    }
  });
  for (const tensor of outputs) {
    const lifetime = found.get(tensor);
    if (lifetime) lifetime.last = dispatches.length;
  }
  return found;
}

/**
 * Largest first: each tensor goes where it makes the arenas grow least.
 * @param maxArenaBytes the device's `maxBufferSize`.
 */
export function placeTensors(all: ReadonlyMap<Tensor, Lifetime>, maxArenaBytes: number): MemoryLayout {
  const order = [...all.values()].sort((a, b) => b.tensor.bytes - a.tensor.bytes || a.first - b.first);
  const places = new Map<Tensor, Placement>();
  const arenas: { lifetimes: Lifetime[]; bytes: number }[] = [];
  for (const lifetime of order) {
    const bytes = align(lifetime.tensor.bytes);
    let best: { arena: number; offset: number; growth: number } | undefined;
    arenas.forEach((arena, index) => {
      if (arena.lifetimes.some((other) => lifetime.apart.has(other.tensor))) return;
      const offset = lowestGap(lifetime, bytes, arena.lifetimes, places);
      const growth = Math.max(0, offset + bytes - arena.bytes);
      if (offset + bytes > maxArenaBytes) return;
      if (!best || growth < best.growth) best = { arena: index, offset, growth };
    });
    if (!best) best = { arena: arenas.push({ lifetimes: [], bytes: 0 }) - 1, offset: 0, growth: bytes };
    const arena = arenas[best.arena]!;
    arena.lifetimes.push(lifetime);
    arena.bytes = Math.max(arena.bytes, best.offset + bytes);
    places.set(lifetime.tensor, { arena: best.arena, offset: best.offset });
  }
  return { places, arenaBytes: arenas.map((a) => a.bytes), liveBytes: mostAlive(order) };
}

/** The lowest offset at which `bytes` are free for the whole lifetime. */
function lowestGap(lifetime: Lifetime, bytes: number, others: Lifetime[], places: Map<Tensor, Placement>): number {
  const taken = others
    .filter((o) => o.first <= lifetime.last && lifetime.first <= o.last)
    .map((o) => ({ start: places.get(o.tensor)!.offset, end: places.get(o.tensor)!.offset + align(o.tensor.bytes) }))
    .sort((a, b) => a.start - b.start);
  let offset = 0;
  for (const { start, end } of taken) {
    if (start - offset >= bytes) break;
    offset = Math.max(offset, end);
  }
  return offset;
}

function mostAlive(all: readonly Lifetime[]): number {
  const change = new Map<number, number>();
  for (const { tensor, first, last } of all) {
    change.set(first, (change.get(first) ?? 0) + align(tensor.bytes));
    change.set(last + 1, (change.get(last + 1) ?? 0) - align(tensor.bytes));
  }
  let alive = 0;
  let most = 0;
  for (const [, delta] of [...change].sort((a, b) => a[0] - b[0])) {
    alive += delta;
    most = Math.max(most, alive);
  }
  return most;
}

/**
 * Where a step's launches, or slices of them, are cut into submissions. Whatever draws the screen waits behind the one that runs, and a
 * driver's watchdog looks on; but each costs JavaScript a tenth of a millisecond.
 */

import type { AdapterReport } from '../gpu/adapter.ts';

/**
 * Floating-point operations of a submission before a step was timed: some tenths of a second on a slow GPU; up to two seconds on software, which
 * has no watchdog, and where each submission wakes threads that JavaScript then waits behind.
 */
const FLOPS: Record<AdapterReport['class'], number> = { gpu: 30e9, 'software-subgroups': 4.5e9, software: 0.5e9 };
/** What a submission should take on a GPU: a page still draws forty pictures a second. */
const MILLISECONDS = 25;
/** Weight of a step beside the one after it: the first ones, which warm the GPU up, are soon forgotten. */
const REMEMBERED = 0.75;
/** Cuts stay until they are wrong by this factor. */
const TOLERATED = 1.25;

/** Indices of a submission's slices: the first, and the one after the last. */
export type Part = readonly [first: number, end: number];

/** @typeParam T what is kept for each submission until the cuts change */
export class Submissions<T> {
  private parts: readonly T[];
  private readonly total: number;
  private work = 0;
  private time = 0;
  private idleSince = -Infinity;

  /**
   * @param flops of each slice, in order
   * @param make what a submission consists of
   * @param limit of a submission, before a step was timed
   */
  constructor(
    private readonly adapter: AdapterReport['class'],
    private readonly flops: readonly number[],
    private readonly make: (part: Part) => T,
    private limit = FLOPS[adapter],
  ) {
    this.total = flops.reduce((sum, work) => sum + work, 0);
    this.parts = cut(flops, limit).map(make);
  }

  get count(): number {
    return this.parts.length;
  }

  /** A step that was submitted at `start` has ended at `end`, milliseconds. Steps may overlap: the GPU does one after another. */
  took(start: number, end: number): void {
    this.work = this.work * REMEMBERED + this.total;
    this.time = this.time * REMEMBERED + Math.max(0, end - Math.max(start, this.idleSince));
    this.idleSince = end;
  }

  /** The submissions of the next step. */
  next(): readonly T[] {
    const limit = (MILLISECONDS * this.work) / this.time; // NaN before the first step: no comparison holds
    if (this.adapter === 'gpu' && (limit > this.limit * TOLERATED || limit < this.limit / TOLERATED)) {
      this.limit = limit;
      this.parts = cut(this.flops, limit).map(this.make);
    }
    return this.parts;
  }
}

function cut(flops: readonly number[], limit: number): Part[] {
  const parts: Part[] = [];
  let first = 0;
  let sum = 0;
  flops.forEach((work, i) => {
    if (sum > 0 && work > 0 && sum + work > limit) {
      parts.push([first, i]);
      first = i;
      sum = 0;
    }
    sum += work;
  });
  return [...parts, [first, flops.length]];
}

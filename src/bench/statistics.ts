/** Medians and spreads: what a noisy, shared machine allows to be said. */

import type { Cell } from './benchmark.ts';

export interface Spread {
  readonly median: number;
  /** Least and most: of times, fastest and slowest. */
  readonly low: number;
  readonly high: number;
  readonly count: number;
}

export function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
  return { median, low: sorted[0]!, high: sorted.at(-1)!, count: sorted.length };
}

/** Of a ÷ b, measured in turns. */
export function ratios(a: readonly number[], b: readonly number[]): Spread {
  return spread(a.map((value, i) => value / b[i]!));
}

/** The number that a cell stands for, if any. */
export function numberOf(cell: Cell): number | undefined {
  return typeof cell === 'object' ? cell.median : typeof cell === 'number' ? cell : undefined;
}

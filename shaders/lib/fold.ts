/** Folding a workgroup's values into one, in an order that does not depend on timing. */

import { WORKGROUP } from './kernel.ts';

/**
 * WGSL that combines entries 0 .. `threads` − 1 of workgroup arrays into entry 0 by halves. `each` combines entry `at` with entry `other`,
 * which every thread has written before. `lane` counts the threads that fold together, `at` is its entry.
 */
export function fold(each: string, { threads = WORKGROUP, lane = 'local', at = 'local' } = {}): string {
  return `for (var half = ${threads / 2}u; half > 0u; half >>= 1u) {
    workgroupBarrier();
    if (${lane} < half) { let other = ${at} + half; ${each} }
  }`;
}

export const SUM = 'tree[local] += tree[other];';

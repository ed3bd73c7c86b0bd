/** Densify + 3³ convolution: the two ops one after the other, against the sparse product plus a constant (`ops/densify-conv3.ts`). */

import { conv3 } from '../ops/conv3.ts';
import { densify } from '../ops/densify.ts';
import { densifyConv3 } from '../ops/densify-conv3.ts';
import type { SavingCase } from './saving-case.ts';

/** A projection on a cube of bricks a side, of `edge` voxels. */
function densifyCase(bricks: number, edge: number, inner: number, columns: number): SavingCase {
  return {
    name: `densify ${inner}→${columns}, ${bricks}³ bricks of ${edge}³`,
    bricks,
    record({ tape, all, visible, parameter }, saving) {
      const [x, token] = [parameter('x', [visible.bricks, edge ** 3, inner]), parameter('token', [inner])];
      const [weight, bias] = [parameter('weight', [27, inner, columns]), parameter('bias', [columns])];
      if (saving) return densifyConv3(tape, { x, token, weight, bias }, { visible, all });
      return conv3(tape, { x: densify(tape, { x, token }, visible), weight, bias }, all);
    },
  };
}

/** The three of the `tiny` preset, and one on the larger presets' grid. */
export const DENSIFY_CASES: readonly SavingCase[] = [
  densifyCase(3, 2, 48, 48),
  densifyCase(3, 4, 32, 24),
  densifyCase(3, 8, 16, 12),
  densifyCase(6, 4, 32, 24),
];

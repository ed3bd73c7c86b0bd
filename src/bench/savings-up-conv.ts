/** Transposed convolution + 3³ convolution: the two ops one after the other, against the one map (`ops/up-conv3.ts`). */

import { conv3 } from '../ops/conv3.ts';
import { transposedConv2 } from '../ops/transposed-conv2.ts';
import { upConv3 } from '../ops/up-conv3.ts';
import type { SavingCase } from './saving-case.ts';

/** An up block's beginning on a cube of bricks a side, of `edge` voxels before and twice as many after. */
function upConvCase(bricks: number, edge: number, inner: number, columns: number): SavingCase {
  const size = bricks * edge;
  return {
    name: `upConv ${inner}→${inner}→${columns}, ${size}³→${2 * size}³`,
    bricks,
    record({ tape, all, parameter }, saving) {
      const x = parameter('x', [all.bricks, edge ** 3, inner]);
      const [upWeight, upBias] = [parameter('upWeight', [inner, 8, inner]), parameter('upBias', [inner])];
      const [weight, bias] = [parameter('weight', [27, inner, columns]), parameter('bias', [columns])];
      if (saving) return upConv3(tape, { x, upWeight, upBias, weight, bias }, { table: all });
      const fine = transposedConv2(tape, { x, weight: upWeight, bias: upBias }, undefined);
      return conv3(tape, { x: fine, weight, bias }, all);
    },
  };
}

/** The decoder of the `tiny` preset, finest first; then its widest layer on the larger presets' grid. */
export const UP_CONV_CASES: readonly SavingCase[] = [
  upConvCase(3, 8, 12, 6),
  upConvCase(3, 4, 24, 12),
  upConvCase(3, 2, 48, 24),
  upConvCase(3, 1, 96, 48),
  upConvCase(6, 1, 96, 48),
];

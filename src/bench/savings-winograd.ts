/** 3³ convolution over its taps, against Winograd's algorithm (`ops/winograd-conv3.ts`). */

import { conv3 } from '../ops/conv3.ts';
import { winogradConv3 } from '../ops/winograd-conv3.ts';
import type { SavingCase } from './saving-case.ts';

/** A convolution on a cube of bricks a side, of `edge` voxels. */
function winogradCase(bricks: number, edge: number, inner: number, columns: number): SavingCase {
  return {
    name: `winograd ${inner}→${columns}, ${bricks}³ bricks of ${edge}³`,
    bricks,
    record({ tape, all, parameter }, saving) {
      const x = parameter('x', [all.bricks, edge ** 3, inner]);
      const inputs = { x, weight: parameter('weight', [27, inner, columns]), bias: parameter('bias', [columns]) };
      return saving ? winogradConv3(tape, inputs, all) : conv3(tape, inputs, all);
    },
  };
}

/** Wide layers on a few bricks, the `small` preset's; narrow ones, where it does not pay. */
export const WINOGRAD_CASES: readonly SavingCase[] = [
  winogradCase(3, 8, 12, 12),
  winogradCase(3, 4, 48, 24),
  winogradCase(6, 4, 48, 48),
  winogradCase(3, 4, 96, 96),
  winogradCase(6, 2, 192, 96),
];

/** The decoder of the `base` preset, finest first: for real GPUs. */
export const WIDE_WINOGRAD_CASES: readonly SavingCase[] = [
  winogradCase(6, 16, 48, 48),
  winogradCase(6, 8, 192, 96),
  winogradCase(6, 8, 96, 96),
  winogradCase(6, 4, 384, 192),
  winogradCase(6, 4, 192, 192),
  winogradCase(6, 2, 768, 384),
];

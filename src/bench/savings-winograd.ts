/** 3³ convolution over its taps, and after an upsampling or densify as one map with it, against Winograd's algorithm (`ops/winograd.ts`, `winograd-up.ts`). */

import type { Tile } from '../../shaders/lib/winograd.ts';
import { conv3 } from '../ops/conv3.ts';
import { densifyConv3 } from '../ops/densify-conv3.ts';
import { upConv3 } from '../ops/up-conv3.ts';
import { winogradConv3 } from '../ops/winograd-conv3.ts';
import type { SavingCase } from './saving-case.ts';

const SMALL: Tile = [2, 2, 2];
const LARGE: Tile = [2, 4, 4];

/** A convolution on a cube of bricks a side, of `edge` voxels. */
function winogradCase(bricks: number, edge: number, inner: number, columns: number, tile: Tile): SavingCase {
  return {
    name: `winograd ${inner}→${columns}, ${bricks}³ bricks of ${edge}³, tiles of ${tile.join('×')}`,
    bricks,
    record({ tape, all, parameter }, saving) {
      const x = parameter('x', [all.bricks, edge ** 3, inner]);
      const inputs = { x, weight: parameter('weight', [27, inner, columns]), bias: parameter('bias', [columns]) };
      return saving ? winogradConv3(tape, inputs, { table: all, tile }) : conv3(tape, inputs, all);
    },
  };
}

/** As many middle channels as input channels, as in the decoder. @param edge of the coarse bricks */
function upCase(bricks: number, edge: number, inner: number, columns: number): SavingCase {
  return {
    name: `winograd of upConv ${inner}→${columns}, ${bricks}³ bricks of ${edge}³, tiles of ${LARGE.join('×')}`,
    bricks,
    record({ tape, all, parameter }, saving) {
      const x = parameter('x', [all.bricks, edge ** 3, inner]);
      const up = { upWeight: parameter('W1', [inner, 8, inner]), upBias: parameter('b1', [inner]) };
      const conv = { weight: parameter('W2', [27, inner, columns]), bias: parameter('b2', [columns]) };
      return upConv3(tape, { x, ...up, ...conv }, { table: all, tile: saving ? LARGE : undefined });
    },
  };
}

function densifyCase(bricks: number, edge: number, inner: number, columns: number): SavingCase {
  return {
    name: `winograd of densify ${inner}→${columns}, ${bricks}³ bricks of ${edge}³, tiles of ${LARGE.join('×')}`,
    bricks,
    record({ tape, all, visible, parameter }, saving) {
      const [x, token] = [parameter('x', [visible.bricks, edge ** 3, inner]), parameter('token', [inner])];
      const [weight, bias] = [parameter('weight', [27, inner, columns]), parameter('bias', [columns])];
      return densifyConv3(tape, { x, token, weight, bias }, { visible, all, tile: saving ? LARGE : undefined });
    },
  };
}

/** Of the `tiny` preset and, on a few bricks, of wider ones. */
export const WINOGRAD_CASES: readonly SavingCase[] = [
  winogradCase(3, 8, 12, 12, LARGE),
  winogradCase(3, 4, 48, 24, LARGE),
  winogradCase(6, 4, 48, 48, LARGE),
  winogradCase(6, 4, 48, 48, SMALL),
  winogradCase(3, 4, 96, 96, LARGE),
  winogradCase(3, 4, 96, 96, SMALL),
  winogradCase(6, 2, 192, 96, SMALL),
  upCase(3, 8, 12, 6),
  upCase(3, 4, 24, 12),
  upCase(3, 4, 96, 48),
  densifyCase(3, 4, 32, 24),
];

/** The decoder of the `base` preset, finest first: for real GPUs. */
export const WIDE_WINOGRAD_CASES: readonly SavingCase[] = [
  ...[LARGE, SMALL].flatMap((tile) => [
    winogradCase(6, 16, 48, 48, tile),
    winogradCase(6, 8, 192, 96, tile),
    winogradCase(6, 8, 96, 96, tile),
    winogradCase(6, 4, 384, 192, tile),
    winogradCase(6, 4, 192, 192, tile),
  ]),
  winogradCase(6, 2, 768, 384, SMALL),
  upCase(6, 8, 96, 48),
  upCase(6, 4, 192, 96),
  densifyCase(6, 8, 128, 96),
  densifyCase(6, 4, 256, 192),
];

/** Shape arithmetic that ops share: feature maps [bricks, edge³, C] and the launches over their elements. */

import { CPU_THREADS } from '../../shaders/lib/kernel.ts';
import type { Tile } from '../../shaders/lib/winograd.ts';
import type { BrickTable } from '../bricks/table.ts';
import { HysparkError } from '../errors.ts';
import { type Launch, need, needDType, needRank, type Target } from '../tape/op.ts';
import { shapeText, type Tensor } from '../tape/tensor.ts';

/** Edge of a feature map's bricks. Throws `bad-shape` unless the map is [bricks, edge³, C] with edge a power of two. */
export function edgeOf(op: string, argument: string, x: Tensor): number {
  needDType(op, argument, x, 'f32');
  needRank(op, argument, x, 3, '[bricks, edge³, channels]');
  const edge = Math.round(Math.cbrt(x.shape[1]!));
  if (edge ** 3 !== x.shape[1] || !Number.isInteger(Math.log2(edge))) {
    throw new HysparkError('bad-shape', {
      doing: `${op}: argument "${argument}"`,
      got: shapeText(x.shape),
      need: '[bricks, edge³, channels] with edge 1, 2, 4, 8, 16 …',
    });
  }
  return edge;
}

/** As `edgeOf`, and the map has one brick for each slot of the table. */
export function edgeOn(op: string, argument: string, x: Tensor, table: BrickTable): number {
  const edge = edgeOf(op, argument, x);
  if (x.shape[0] !== table.bricks) {
    throw new HysparkError('bad-shape', {
      doing: `${op}: argument "${argument}"`,
      got: shapeText(x.shape),
      need: `${table.bricks} bricks, as its table has`,
    });
  }
  return edge;
}

/** Throws `bad-shape` unless tiles of Winograd's algorithm, if there are any, divide the bricks of the map that is called x. */
export function needTiles(op: string, edge: number, tile: Tile | undefined): void {
  const fits = !tile || tile.every((voxels) => voxels <= edge);
  need(fits, `${op}: argument "x"`, `bricks of edge ${edge}`, `tiles of ${tile?.join(' × ')} voxels in them`);
}

/** A launch over `count` elements (`elementwise`); `count` is among the uniforms. */
export function perElement(count: number, uniforms: Readonly<Record<string, number>> = {}): Launch {
  return { uniforms: { count, ...uniforms } };
}

/**
 * A launch of threads that stay with one of `channels` and walk the rows: as many as fill the adapter. Thread i begins at element i of
 * [rows, channels], and its next element is `count` further on; `rows` and `channels` are among the uniforms too.
 */
export function perChannel(
  target: Target,
  rows: number,
  channels: number,
  uniforms: Readonly<Record<string, number>> = {},
): Launch {
  const threads = target.class === 'gpu' ? 262144 : CPU_THREADS;
  const lanes = Math.min(rows, Math.max(1, Math.floor(threads / channels)));
  return perElement(lanes * channels, { rows, channels, ...uniforms });
}

/** Winograd's points of a map are several times as large as the map: a launch takes a chunk of its tiles. */

import type { Tile } from '../../shaders/lib/winograd.ts';
import type { Launch, Target } from '../tape/op.ts';
import type { Tensor } from '../tape/tensor.ts';
import { largestBinding } from './conv3-algorithm.ts';
import { perElement } from './shapes.ts';

/**
 * Of points that are held at a time: launches of a chunk wait for each other, which a large GPU notices. Half of it where maps are stored as f16, which is
 * to save memory.
 */
const MOST_BYTES = { f32: 256 * 1024 * 1024, f16: 128 * 1024 * 1024 };

/** Some tiles of a map. */
export interface Chunk {
  readonly firstRow: number;
  readonly rows: number;
  /** Of the map's bricks. */
  readonly edgeLog2: number;
}

/** @param x [bricks, edge³, C] whose tiles they are @param values of the largest tensor that holds points, for one tile */
export function chunksOf(target: Target, tile: Tile, x: Tensor, values: number): readonly Chunk[] {
  const edgeLog2 = Math.round(Math.log2(Math.cbrt(x.shape[1]!)));
  const rows = x.rows / (tile[0] * tile[1] * tile[2]);
  const most = Math.min(MOST_BYTES[x.storage === 'f16' ? 'f16' : 'f32'], largestBinding(target));
  const each = Math.max(1, Math.min(rows, Math.floor(most / (4 * values))));
  const even = Math.ceil(rows / Math.ceil(rows / each));
  return Array.from({ length: Math.ceil(rows / even) }, (_, i) => {
    return { firstRow: i * even, rows: Math.min(even, rows - i * even), edgeLog2 };
  });
}

/** @param phases that have points of their own */
export function launchOfChunk(chunk: Chunk, channels: number, phases = 1): Launch {
  return perElement(phases * chunk.rows * channels, { channels, ...chunk });
}

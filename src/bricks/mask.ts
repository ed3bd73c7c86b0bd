/** Seeded masks: which bricks of each sample are visible. The same bricks at every scale (bottom-up masking). */

import { HysparkError } from '../errors.ts';
import { Random } from '../random.ts';

/**
 * How many of `cells` bricks stay visible at a mask ratio: round(cells · (1 − ratio)), halves to even as the reference's Python does.
 * Throws unless at least one is visible and one hidden; a ratio of 0 (no mask) shows all.
 */
export function visibleCount(cells: number, ratio: number): number {
  if (ratio === 0) return cells;
  const exact = cells * (1 - ratio);
  const down = Math.floor(exact);
  const visible = exact - down === 0.5 ? down + (down % 2) : Math.round(exact);
  if (!(ratio > 0 && ratio < 1) || visible < 1 || visible >= cells) {
    throw new HysparkError('bad-argument', {
      doing: `Mask ratio for ${cells} patches`,
      got: `${ratio} (${visible} visible)`,
      need: 'a ratio that leaves at least one patch visible and one hidden, or 0',
    });
  }
  return visible;
}

/**
 * Visible cells of each sample, ascending: the cells with the smallest random words (ties: the lower cell).
 * A pure function of the seed, the step and the sample's place in the batch.
 */
export function randomMasks(seed: number, step: number, batch: number, cells: number, ratio: number): Uint32Array[] {
  const visible = visibleCount(cells, ratio);
  return Array.from({ length: batch }, (_, sample) => {
    const random = Random.of(seed, 'mask', step, sample);
    const order = Array.from({ length: cells }, (_, cell) => ({ cell, word: random.word(cell) }));
    order.sort((a, b) => a.word - b.word || a.cell - b.cell);
    return Uint32Array.from(order.slice(0, visible), (o) => o.cell).sort();
  });
}

/** Every cell of every sample: the dense case. */
export function allVisible(batch: number, cells: number): Uint32Array[] {
  return Array.from({ length: batch }, () => Uint32Array.from({ length: cells }, (_, cell) => cell));
}

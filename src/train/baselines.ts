/**
 * What trivial reconstructions score, so that a loss can be judged: each hidden patch's mean, and a smooth fill of the hidden voxels
 * from the visible ones. Plain arithmetic on the CPU, once a run. Source: MODEL.md, "Is it learning?".
 */

import { PATCH } from '../bricks/grid.ts';
import type { Baselines, Evaluation, Verdict } from './types.ts';
import { eachVoxel } from './viewer.ts';

export interface JudgedCrop {
  /** [crop, crop, crop], 0..1 */
  readonly volume: Float32Array;
  /** Cells that are not hidden. */
  readonly visible: Uint32Array;
}

const VOXELS = PATCH ** 3;
/** What the loss adds to a patch's variance. */
const EPSILON = 1e-6;

/**
 * Losses of both baselines on the same crops and masks. The smooth fill is normalised patch by patch like the target, and
 * then scaled by the one factor in 0..1 that suits these crops best: without it, a fill that says little would score worse
 * than the mean, and be no hurdle.
 */
export async function baselines(crops: readonly JudgedCrop[], crop: number): Promise<Baselines> {
  let [targets, products, fills, patches] = [0, 0, 0, 0];
  for (const { volume, visible } of crops) {
    await new Promise((resolve) => setTimeout(resolve)); // a large crop takes a second: a signal or a message may be waiting
    const seen = new Set(visible);
    const fill = toBricks(smoothFill(volume, crop, visible), crop);
    const image = toBricks(volume, crop);
    for (let cell = 0; cell < (crop / PATCH) ** 3; cell++) {
      if (seen.has(cell)) continue;
      const target = normalised(image, cell);
      const guess = normalised(fill, cell);
      for (let i = 0; i < VOXELS; i++) {
        targets += target[i]! ** 2;
        products += target[i]! * guess[i]!;
        fills += guess[i]! ** 2;
      }
      patches++;
    }
  }
  const voxels = patches * VOXELS;
  const factor = fills > 0 ? Math.min(1, Math.max(0, products / fills)) : 0;
  return {
    patchMean: targets / voxels,
    smoothFill: (targets - 2 * factor * products + factor ** 2 * fills) / voxels,
  };
}

/** Largest change of a voxel in a sweep at which the diffusion counts as converged. */
const CONVERGED = 1e-5;
const MOST_SWEEPS = 2000;
/** Over-relaxation that needs the fewest sweeps (about 200) for the gaps that masks of three quarters leave. */
const RELAX = 2 / (1 + Math.PI / (7 * PATCH));

/**
 * The hidden voxels as the steady state of diffusion: each is the mean of its neighbours (faces; nothing flows through the crop's
 * sides), visible ones stay. Successive over-relaxation, in place.
 */
export function smoothFill(volume: Float32Array, crop: number, visible: Uint32Array): Float32Array {
  const cells = crop / PATCH;
  const hidden = new Uint8Array(cells ** 3).fill(1);
  for (const cell of visible) hidden[cell] = 0;
  const fill = Float32Array.from(volume);
  let [sum, count] = [0, 0];
  eachVoxel(crop, (at, cell) => {
    if (hidden[cell]) return;
    sum += volume[at]!;
    count++;
  });
  eachVoxel(crop, (at, cell) => {
    if (hidden[cell]) fill[at] = sum / count;
  });
  for (let sweep = 0; sweep < MOST_SWEEPS; sweep++) if (diffuse(fill, crop, hidden) < CONVERGED) break;
  return fill;
}

/**
 * One sweep over the hidden cells, the black voxels of a chessboard after the white ones, so that no voxel waits for the one before it. A
 * neighbour outside the crop counts as the voxel itself. The largest change.
 */
function diffuse(fill: Float32Array, crop: number, hidden: Uint8Array): number {
  const [cells, last] = [crop / PATCH, crop - 1];
  let largest = 0;
  for (let colour = 0; colour < 2; colour++) {
    for (let x = 0; x <= last; x++) {
      const left = x > 0 ? -crop * crop : 0;
      const right = x < last ? crop * crop : 0;
      for (let y = 0; y <= last; y++) {
        const front = y > 0 ? -crop : 0;
        const back = y < last ? crop : 0;
        const row = (x * crop + y) * crop;
        const cellRow = ((x >> 4) * cells + (y >> 4)) * cells; // PATCH is 16
        for (let z = (x + y + colour) & 1; z <= last; z += 2) {
          if (hidden[cellRow + (z >> 4)] === 0) continue;
          const at = row + z;
          const across = fill[at + left]! + fill[at + right]! + fill[at + front]! + fill[at + back]!;
          const along = fill[z > 0 ? at - 1 : at]! + fill[z < last ? at + 1 : at]!;
          const change = RELAX * ((across + along) * (1 / 6) - fill[at]!);
          fill[at] = fill[at]! + change;
          largest = Math.max(largest, Math.abs(change));
        }
      }
    }
  }
  return largest;
}

/** Row by row of the list of bricks, [cells, 16³]. */
function toBricks(volume: Float32Array, crop: number): Float32Array {
  const bricks = new Float32Array(volume.length);
  eachVoxel(crop, (at, cell, within) => {
    bricks[cell * VOXELS + within] = volume[at]!;
  });
  return bricks;
}

/** A patch less its mean, over its unbiased deviation, as the loss does it. */
function normalised(bricks: Float32Array, cell: number): Float64Array {
  const patch = Float64Array.from(bricks.subarray(cell * VOXELS, (cell + 1) * VOXELS));
  const mean = patch.reduce((a, b) => a + b, 0) / VOXELS;
  const variance = patch.reduce((a, b) => a + (b - mean) ** 2, 0) / (VOXELS - 1);
  return patch.map((v) => (v - mean) / Math.sqrt(variance + EPSILON));
}

/** Relative fall of the loss below which the last quarter counts as flat. */
const FLAT = 0.005;

/** Is it learning? By the latest judgement, and by whether the last quarter of them is the best. */
export function verdict(evaluations: readonly Evaluation[], lines: Baselines | undefined): Verdict {
  const last = evaluations.at(-1);
  if (!last || !lines) {
    return { kind: 'unknown', trend: 'unknown', sentence: 'Not judged yet: no loss on held-out scans.' };
  }
  if (!Number.isFinite(lines.patchMean) || !Number.isFinite(lines.smoothFill)) {
    return {
      kind: 'unknown',
      trend: 'unknown',
      sentence: 'Not judged: the held-out crops hold values that are no numbers.',
    };
  }
  if (!Number.isFinite(last.loss)) {
    const sentence = 'Not learning: the held-out loss is not finite, so these weights are of no use.';
    return { kind: 'worse-than-mean', trend: 'unknown', sentence };
  }
  const lowest = (list: readonly Evaluation[]) =>
    list.reduce((least, { loss }) => (loss < least ? loss : least), Number.POSITIVE_INFINITY);
  const cut = evaluations.length - Math.max(1, Math.floor(evaluations.length / 4));
  const trend =
    evaluations.length < 4
      ? 'unknown'
      : lowest(evaluations.slice(cut)) < (1 - FLAT) * lowest(evaluations.slice(0, cut))
        ? 'improving'
        : 'flat';
  const [loss, mean, smooth] = [last.loss, lines.patchMean, lines.smoothFill].map((v) => v.toFixed(3));
  const tail = { improving: ', and it is still improving', flat: ', and it has stopped improving', unknown: '' }[trend];
  if (last.loss >= lines.patchMean) {
    const sentence = `Not learning yet: a held-out loss of ${loss} is no better than each patch's mean (${mean})${tail}.`;
    return { kind: 'worse-than-mean', trend, sentence };
  }
  if (last.loss >= lines.smoothFill) {
    const sentence = `Learning intensity only: a held-out loss of ${loss} is below each patch's mean (${mean}) but not below a smooth fill (${smooth})${tail}.`;
    return { kind: 'intensity-only', trend, sentence };
  }
  const sentence = `Learning anatomy: a held-out loss of ${loss} beats a smooth fill of the hidden patches (${smooth}; each patch's mean: ${mean})${tail}.`;
  return { kind: 'beats-smooth-fill', trend, sentence };
}

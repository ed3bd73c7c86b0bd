/**
 * The optimiser's step over flat chunks (`Variables.chunks`): gradients scaled by min(1, clip / (global norm + 1e-6)), then AdamW with
 * weight decay on every parameter that has a gradient. Exact rule: golden/README.md, "AdamW". Not ops: they end the tape.
 */

import { scaleKernel } from '../../shaders/elementwise.wgsl.ts';
import { CPU_THREADS, WORKGROUP } from '../../shaders/lib/kernel.ts';
import {
  accumulateKernel,
  adamwKernel,
  clipKernel,
  SUM_BLOCK,
  scaledClipKernel,
  squaresKernel,
  sumGradientsKernel,
} from '../../shaders/optimiser.wgsl.ts';
import { foldWorkgroups, need, type PartialSums, type Recorder } from '../tape/op.ts';
import type { Tape } from '../tape/tape.ts';
import type { Tensor } from '../tape/tensor.ts';
import { align, type FlatChunk, type Variables } from '../tape/variables.ts';
import { GROWTH_INTERVAL, MOST_LOSS_SCALE } from './loss-scale.ts';
import { perElement } from './shapes.ts';

/**
 * Puts each parameter's gradient where the optimiser finds it. What is still partial sums is added up there, all of a chunk in one launch;
 * other gradients are written there by their own kernels where that is possible, and copied where one is shared with another parameter or
 * read while another gradient is written.
 * @param keep input [1] for gradient accumulation, 0 in the first micro-batch of a step, then 1: gradients are added up.
 */
export function keepGradients(
  tape: Tape,
  gradients: ReadonlyMap<Tensor, Tensor>,
  variables: Variables,
  keep?: Tensor,
): void {
  const all = [...gradients.values()];
  const finals = new Set(all);
  const shared = new Set(all.filter((gradient, i) => all.indexOf(gradient) !== i));
  // A launch may not read and write one buffer: what reads a gradient must not write another into the same chunks, and a copy does both.
  const clashing = new Set(shared);
  for (const { kernel, tensors } of tape.dispatches) {
    if (!tensors.some((tensor, i) => kernel.bindings[i]!.access !== 'read' && finals.has(tensor))) continue;
    tensors.forEach((tensor, i) => {
      if (kernel.bindings[i]!.access === 'read') clashing.add(tensor);
    });
  }
  const unsettled = new Map<Tensor, GradientSum[]>();
  for (const [parameter, gradient] of gradients) {
    const home = variables.gradientOf(parameter);
    const sums = shared.has(gradient) ? undefined : tape.takeSums(gradient);
    if (sums) {
      const flat = variables.flatGradientOf(parameter);
      if (!unsettled.has(flat.gradients)) unsettled.set(flat.gradients, []);
      unsettled.get(flat.gradients)!.push({ ...sums, size: gradient.size, place: flat.first });
    } else if (keep) {
      tape.dispatch(accumulateKernel(), { x: gradient, keep, total: home }, perElement(home.size));
    } else if (clashing.has(gradient)) {
      tape.dispatch(scaleKernel(), { x: gradient, y: home }, perElement(home.size, { factor: 1 }));
    } else {
      gradient.home = home;
    }
  }
  for (const [flat, sums] of unsettled) recordSums(tape, sums, flat, keep);
}

interface GradientSum extends PartialSums {
  /** Elements, and the first one's place in the chunk. */
  readonly size: number;
  readonly place: number;
}

/** Adds up partial sums into a chunk of gradients. They are kept side by side, so that one binding reaches all of them. */
function recordSums(tape: Tape, sums: readonly GradientSum[], gradients: Tensor, keep: Tensor | undefined): void {
  let bytes = 0;
  const lists = new Set(sums.map(({ partials }) => partials));
  for (const partials of lists) {
    partials.homeOffset = bytes;
    bytes += align(partials.bytes);
  }
  const pool = tape.tensor('partialSums', [bytes / 4]);
  for (const partials of lists) partials.home = pool;
  const [entries, blocks]: [number[], number[]] = [[], []];
  sums.forEach(({ partials, splits, size, first, place }, i) => {
    entries.push(partials.homeOffset / 4 + first, splits, size, place);
    for (let begin = 0; begin < size; begin += SUM_BLOCK) blocks.push(i, begin);
  });
  const count = blocks.length / 2;
  const bind = {
    partials: pool,
    sums: tape.constant('sums', Uint32Array.from(entries)),
    blocks: tape.constant('blocks', Uint32Array.from(blocks)),
    keep,
    gradients,
  };
  const workgroups = foldWorkgroups(tape.target.class === 'gpu' ? count : Math.min(count, CPU_THREADS / WORKGROUP), 1);
  tape.dispatch(sumGradientsKernel(keep !== undefined), bind, { uniforms: { count }, workgroups });
}

export interface AdamWOptions {
  /** Decay of the first and second moment; 0.9 and 0.999. */
  readonly betas?: readonly [number, number];
  /** 1e-8 */
  readonly epsilon?: number;
}

/**
 * Records the global L2 norm of all gradients. Returns [2]: the norm, and the factor that clips it to `clip`.
 * @param lossScale what the loss was multiplied by (`declareLossScale`), moved on for the next step. Then it returns [3]: the norm
 *   without the scale, infinite where a gradient is not finite; the factor, which takes the scale away as well, then 0; the scale.
 */
export function gradientNorm(
  recorder: Recorder,
  chunks: readonly FlatChunk[],
  clip: number,
  lossScale?: Tensor,
): Tensor {
  need(clip > 0, 'gradientNorm: clip', String(clip), 'a positive number, or Infinity for no clipping');
  // Each ends in a tree of barriers, which a CPU pays for.
  const most = recorder.target.class === 'gpu' ? 1024 : 32;
  const groups = chunks.map(({ gradients }) => Math.min(most, Math.ceil(gradients.size / (4 * WORKGROUP))));
  const total = groups.reduce((a, b) => a + b, 0);
  const partials = recorder.tensor('squares', [total]);
  let first = 0;
  chunks.forEach(({ gradients }, i) => {
    const uniforms = { count: gradients.size, first };
    recorder.dispatch(
      squaresKernel(i === 0, lossScale !== undefined),
      { gradients, partials },
      { uniforms, workgroups: [groups[i]!, 1, 1] },
    );
    first += groups[i]!;
  });
  const norm = recorder.tensor('gradientNorm', [lossScale ? 3 : 2]);
  const uniforms = { count: total, clip: Math.min(clip, 3e38), interval: GROWTH_INTERVAL, most: MOST_LOSS_SCALE };
  const kernel = lossScale ? scaledClipKernel() : clipKernel();
  recorder.dispatch(kernel, { partials, norm, lossScale }, { uniforms, workgroups: [1, 1, 1] });
  return norm;
}

/**
 * Records one AdamW update of every chunk. With a loss scale, parameters and moments keep their bits in a step whose gradients are not finite.
 * @param norm what `gradientNorm` returned.
 * @param schedule input [4], set each step from `adamwSchedule`.
 */
export function adamw(
  recorder: Recorder,
  chunks: readonly FlatChunk[],
  norm: Tensor,
  schedule: Tensor,
  { betas: [beta1, beta2] = [0.9, 0.999], epsilon = 1e-8 }: AdamWOptions = {},
): void {
  for (const chunk of chunks) {
    const { size } = chunk.parameters;
    const threads = recorder.target.class === 'gpu' ? size : Math.min(size, CPU_THREADS);
    const launch = perElement(threads, { size, beta1, beta2, rest1: 1 - beta1, rest2: 1 - beta2, epsilon });
    recorder.dispatch(adamwKernel(norm.size === 3), { ...chunk, norm, schedule }, launch);
  }
}

/** The step's four numbers, taken in float64. `step` counts from 1. */
export function adamwSchedule(
  step: number,
  learningRate: number,
  weightDecay: number,
  options: AdamWOptions = {},
): Float32Array {
  const [beta1, beta2] = options.betas ?? [0.9, 0.999];
  return Float32Array.of(
    learningRate / (1 - beta1 ** step),
    1 - learningRate * weightDecay,
    1 / Math.sqrt(1 - beta2 ** step),
    0,
  );
}

/**
 * What there is to tune about 3³ convolutions, those composed with an upsampling or with densify too: which algorithm each distinct one of some tapes takes,
 * forward and backward together.
 */

import type { Target } from '../tape/op.ts';
import type { Tape } from '../tape/tape.ts';
import type { Tensor } from '../tape/tensor.ts';
import { conv3 } from './conv3.ts';
import {
  type Algorithm,
  algorithmsFor,
  type ConvolutionShape,
  convolutionShape,
  keyOfConvolution,
  productsOf,
} from './conv3-algorithm.ts';
import { bricksOf, buildTrial, type Convolution, leastSide, recordTrial, widthOf } from './conv3-trial.ts';
import { densifyConv3 } from './densify-conv3.ts';
import { REORDERED } from './gemm-choice.ts';
import type { Alternative, Question } from './tuner.ts';
import { upConv3 } from './up-conv3.ts';
import { winogradConv3 } from './winograd-conv3.ts';

type Way = Algorithm & Alternative;

/** Ops that are convolutions, and what they are composed with. */
const OPS = new Map<string, ConvolutionShape['after']>([
  [conv3.opName, undefined],
  [winogradConv3.opName, undefined],
  [upConv3.opName, 'up'],
  [densifyConv3.opName, 'densify'],
]);

/** Of a trial's map: its points are some times as large. */
const MOST_BYTES = 64 * 1024 * 1024;

/**
 * The distinct convolutions of tapes for this target, by their FLOPs; the largest first. None of tapes without gradients, for both passes are
 * timed; none on software adapters, whose table was measured.
 */
export function convolutionQuestions(target: Target, tapes: readonly Tape[]): Question<Way>[] {
  if (target.class !== 'gpu') return [];
  const found = new Map<string, Convolution & { flops: number }>();
  const training = tapes.filter(({ dispatches }) => dispatches.some(({ backward }) => backward));
  for (const { name, inputs } of training.flatMap((tape) => tape.ops)) {
    if (!OPS.has(name)) continue;
    const { x, weight } = inputs as { readonly x: Tensor; readonly weight: Tensor };
    const shape = convolutionShape(x, weight, OPS.get(name));
    const key = keyOfConvolution(shape);
    const flops = (found.get(key)?.flops ?? 0) + flopsOf(shape);
    found.set(key, { shape, storage: x.storage, flops });
  }
  return [...found]
    .map(([key, { flops, ...convolution }]) => questionOf(target, key, convolution, flops))
    .filter(({ candidates }) => candidates.length > 1)
    .sort((a, b) => b.flops - a.flops);
}

/** As many products as the forward pass has, and twice as many backward. */
const flopsOf = (shape: ConvolutionShape) => 3 * 2 * productsOf(shape);

function questionOf(target: Target, key: string, c: Convolution, flops: number): Question<Way> {
  const { after, rows, inner, columns, edge } = c.shape;
  const rowsOf = (side: number) => bricksOf(c.shape, side ** 3) * edge ** 3;
  /** Bricks on each side of the largest cube of so many FLOPs and bytes, and of no more rows. */
  const cut = (mostFlops: number) => {
    const most = Math.min(rows, rows * (mostFlops / flopsOf(c.shape)), MOST_BYTES / (4 * widthOf(c.shape)));
    let side = leastSide(c.shape);
    while (rowsOf(side + 1) <= most) side++;
    return side;
  };
  const largest = rowsOf(cut(Number.POSITIVE_INFINITY)) * widthOf(c.shape);
  return {
    key,
    candidates: algorithmsFor(target, c.shape).map((algorithm) => ({ ...algorithm, tolerance: REORDERED })),
    flops,
    bytes: 4 * Math.ceil(Math.max(largest, 27 * inner * columns, after === 'up' ? 8 * inner ** 2 : 0)),
    kernelsOf(way) {
      const { tape } = recordTrial(target, c, way, leastSide(c.shape));
      return [...new Map(tape.dispatches.map(({ kernel }) => [kernel.id, kernel])).values()];
    },
    trial(mostFlops) {
      const side = cut(mostFlops);
      return {
        flops: flopsOf({ ...c.shape, rows: rowsOf(side) }),
        isCut: rowsOf(side) < rows,
        build: (device, way, scratch) => buildTrial(device, recordTrial(target, c, way, side, scratch), scratch),
      };
    },
  };
}

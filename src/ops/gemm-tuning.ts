/** What there is to tune in the GEMM family: each distinct product of some tapes, with most work first. */

import type { Kernel } from '../../shaders/lib/kernel.ts';
import type { Target } from '../tape/op.ts';
import { type Dispatch, storedKernel, type Tape } from '../tape/tape.ts';
import { type Candidate, keyOf } from './gemm-choice.ts';
import { candidatesOf } from './gemm-table.ts';
import { buildTrial, type Recorded, scratchBytes, trialShape } from './gemm-trial.ts';
import type { Question } from './tuner.ts';

export interface ProductQuestion extends Question<Candidate> {
  /** The first of its kind. */
  readonly recorded: Recorded;
}

/** The distinct choices that tapes for this target leave, by the FLOPs that hang on them; the largest first. */
export function productQuestions(target: Target, tapes: readonly Tape[]): ProductQuestion[] {
  const found = new Map<string, { recorded: Recorded; flops: number }>();
  for (const dispatch of tapes.flatMap((tape) => tape.dispatches)) {
    if (!isTunable(dispatch)) continue;
    const { tunable, flops = 0 } = dispatch.launch;
    const key = keyOf(tunable);
    const same = found.get(key);
    if (same) same.flops += flops;
    else found.set(key, { recorded: dispatch, flops });
  }
  return [...found]
    .map(([key, { recorded, flops }]) => questionOf(target, key, recorded, flops))
    .filter(({ candidates }) => candidates.length > 1)
    .sort((a, b) => b.flops - a.flops);
}

function questionOf(target: Target, key: string, recorded: Recorded, flops: number): ProductQuestion {
  const { tunable, flops: ofOne = 0 } = recorded.launch;
  const whole = trialShape(recorded, Number.POSITIVE_INFINITY);
  return {
    key,
    recorded,
    candidates: candidatesOf(target, tunable),
    flops,
    bytes: whole ? scratchBytes(recorded, whole) : 0,
    // As the recorded tensors are stored.
    kernelsOf: (candidate): readonly Kernel[] => [storedKernel(candidate.choice().kernel, tunable.operands)],
    trial(mostFlops) {
      const shape = trialShape(recorded, mostFlops);
      return (
        shape && {
          flops: ofOne * shape.share,
          isCut: shape.share < 1,
          build: (device, candidate, scratch) => buildTrial(device, recorded, shape, candidate, scratch),
        }
      );
    },
  };
}

function isTunable(dispatch: Dispatch): dispatch is Recorded {
  return dispatch.launch.tunable !== undefined;
}

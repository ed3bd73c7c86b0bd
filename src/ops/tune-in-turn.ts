/** What is tuned, in turn: algorithms before the kernels of their products. */

import type { Target, Tuning } from '../tape/op.ts';
import type { Tape } from '../tape/tape.ts';
import { convolutionQuestions } from './conv3-tuning.ts';
import { productQuestions } from './gemm-tuning.ts';
import type { Question } from './tuner.ts';

/**
 * Asks what the tapes of a target leave open, and again what they do with those answers.
 * @param tapesFor records the target's tapes, as tuned so far
 * @param choose a candidate for each question, in that share of the time left
 */
export async function tuneInTurn(
  target: Target,
  tapesFor: (tuning: Tuning) => readonly Tape[],
  choose: (questions: readonly Question[], share: number) => Promise<Tuning>,
): Promise<Tuning> {
  const algorithms = await choose(convolutionQuestions(target, tapesFor({})), 1 / 2);
  const products = productQuestions({ ...target, tuning: algorithms }, tapesFor(algorithms));
  return { ...algorithms, ...(await choose(products, 1)) };
}

/** Recording sums over rows (`shaders/column-sums.wgsl.ts`): bias gradients, norm gradients, token gradients. */

import {
  type ColumnTerms,
  columnChunks,
  columnFinishKernel,
  columnPartialsKernel,
  columnTreeKernel,
} from '../../shaders/column-sums.wgsl.ts';
import { WORKGROUP } from '../../shaders/lib/kernel.ts';
import { foldWorkgroups, type Inputs, type Recorder, readsAhead } from '../tape/op.ts';
import type { Shape, Tensor } from '../tape/tensor.ts';
import { perElement } from './shapes.ts';

export const PLAIN_SUM: ColumnTerms = { name: 'plain', reads: { x: 'f32' }, terms: ['x[at]'] };

/** One sum over `rows` for each term and each of `channels` columns; each result has `shape` (of `channels` elements). */
export function recordColumnSums(
  recorder: Recorder,
  terms: ColumnTerms,
  bind: Inputs,
  size: { readonly rows: number; readonly channels: number; readonly shape?: Shape },
  uniforms: Readonly<Record<string, number>> = {},
): Tensor[] {
  const { rows, channels, shape = [channels] } = size;
  const chunks = columnChunks(rows, channels, recorder.target.class !== 'gpu');
  const isWhole = chunks === 1 && terms.terms.length === 1;
  const partials = recorder.tensor('partials', isWhole ? shape : [terms.terms.length, chunks, channels]);
  const launch = perElement(chunks * channels, { rows, channels, ...uniforms });
  recorder.dispatch(columnPartialsKernel(terms, readsAhead(recorder.target)), { ...bind, partials }, launch);
  if (isWhole) return [partials];
  return recordColumnFinish(recorder, partials, terms.terms.length, chunks, channels, shape);
}

/** Adds up partial sums [terms, chunks, channels] in order: a tensor of `shape` for each term. */
export function recordColumnFinish(
  recorder: Recorder,
  partials: Tensor,
  terms: number,
  chunks: number,
  channels: number,
  shape: Shape,
): Tensor[] {
  const totals = Array.from({ length: terms }, (_, t) => recorder.tensor(`sum${t}`, shape));
  let isFinished = false;
  const finish = () => {
    if (isFinished) return;
    isFinished = true;
    recordFinish(recorder, partials, chunks, channels, totals);
  };
  totals.forEach((total, t) => {
    recorder.addUp(total, { partials, first: t * chunks * channels, splits: chunks }, finish);
  });
  return totals;
}

function recordFinish(
  recorder: Recorder,
  partials: Tensor,
  chunks: number,
  channels: number,
  totals: readonly Tensor[],
): void {
  const terms = totals.length;
  // A tree needs barriers, which cost a CPU more than adding in turn; a GPU would leave most of its threads idle.
  const isTree = recorder.target.class === 'gpu';
  recorder.dispatch(
    isTree ? columnTreeKernel(terms) : columnFinishKernel(terms),
    { partials, ...Object.fromEntries(totals.map((total, t) => [`total${t}`, total])) },
    isTree
      ? { uniforms: { channels, chunks }, workgroups: foldWorkgroups(channels * WORKGROUP, WORKGROUP) }
      : perElement(channels, { chunks }),
  );
}

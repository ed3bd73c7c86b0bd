/**
 * The tapes of a run on one set of variables: the training pass, the optimiser's step where passes are accumulated, and the pass
 * that judges and makes pictures.
 */

import { HysparkError } from '../errors.ts';
import { type AdapterReport, F16 } from '../gpu/adapter.ts';
import { HySparK, type HySparKGraph, type Savings } from '../models/hyspark/hyspark.ts';
import { Declarations } from '../nn/declare.ts';
import { adamw, gradientNorm, keepGradients } from '../ops/adamw.ts';
import { declareLossScale } from '../ops/loss-scale.ts';
import { type Layout, layOut } from '../tape/layout.ts';
import type { Target } from '../tape/op.ts';
import { Tape } from '../tape/tape.ts';
import type { Tensor } from '../tape/tensor.ts';
import { Variables } from '../tape/variables.ts';
import type { PlanReport, RunConfig } from './types.ts';
import { recordViewer, type ViewerTape } from './viewer.ts';

export interface RunNetwork {
  readonly model: HySparK;
  readonly variables: Variables;
  /** A pass over a batch: loss and gradients, and with a single pass a step the optimiser too. */
  readonly pass: { readonly tape: Tape; readonly graph: HySparKGraph; readonly keep?: Tensor };
  /** The optimiser's step: the same tape as `pass` where passes are not accumulated. Reports the gradient's norm last. */
  readonly update: { readonly tape: Tape; readonly schedule: Tensor };
  /** With mixed precision. */
  readonly lossScale?: Tensor;
  /** One crop, running statistics, no gradients. */
  readonly judge: ViewerTape;
}

/** What a run is recorded for: an adapter's report, with the kernels that were chosen for it by measuring. */
export type RunTarget = Target & Pick<AdapterReport, 'name' | 'limits' | 'features'>;

/**
 * Records everything a run launches. No device is needed. Error `unsupported`: mixed precision on an adapter that cannot.
 * @param savings of the training pass, for benchmarks; otherwise where they pay
 */
export function recordRun(config: RunConfig, report: RunTarget, savings?: Savings): RunNetwork {
  const { precision } = config;
  if (precision === 'mixed' && !report.features.includes(F16)) {
    throw new HysparkError('unsupported', {
      doing: 'Option "precision"',
      got: `mixed on ${report.name}, which lacks the WebGPU feature ${F16}`,
      need: 'float32 on this adapter',
    });
  }
  const variables = new Variables(report.limits.maxStorageBufferBindingSize);
  const model = new HySparK(new Declarations(variables), config.model);
  const lossScale = precision === 'mixed' ? declareLossScale(variables) : undefined;
  const { batch, accumulate, clip } = config;

  const tape = new Tape(report, precision);
  const graph = model.graph(tape, { batch, training: true, savings });
  tape.report(graph.loss);
  const keep = accumulate > 1 ? tape.input('keep', [1]) : undefined;
  keepGradients(tape, tape.backward(graph.loss, 1 / accumulate, lossScale), variables, keep);

  const last = accumulate > 1 ? new Tape(report) : tape;
  const schedule = last.input('schedule', [4]);
  const chunks = variables.chunks();
  const norm = last.report(gradientNorm(last, chunks, clip, lossScale));
  adamw(last, chunks, norm, schedule);

  return {
    model,
    variables,
    pass: { tape, graph, keep },
    update: { tape: last, schedule },
    lossScale,
    judge: recordViewer(model, report, precision),
  };
}

/** What a configuration needs of an adapter, by arithmetic alone. Error `unsupported` as for `recordRun`. */
export function planRun(config: RunConfig, report: RunTarget): PlanReport {
  const network = recordRun(config, report);
  const { variables, pass, update, judge } = network;
  const parameters = variables.parameters.reduce((sum, p) => sum + p.size, 0);
  const held = variables.bytes(true);
  const unlimited = { maxBufferSize: Number.MAX_SAFE_INTEGER, maxStorageBufferBindingSize: Number.MAX_SAFE_INTEGER };
  const layouts = (recompute: boolean, limits: typeof unlimited) => ({
    training: layOut(pass.tape, undefined, limits, { recompute }),
    update: update.tape === pass.tape ? undefined : layOut(update.tape, undefined, limits),
    judge: layOut(judge.tape, undefined, limits),
  });
  const flopsOf = (layout: Layout) => layout.dispatches.reduce((sum, { launch }) => sum + (launch.flops ?? 0), 0);
  let reason: string | undefined;
  let found: ReturnType<typeof layouts>;
  try {
    found = layouts(config.recompute, report.limits);
  } catch (error) {
    if (!(error instanceof HysparkError) || error.code !== 'exceeds-limits') throw error;
    reason = error.message;
    found = layouts(config.recompute, unlimited);
  }
  const peakOf = ({ training, update: step, judge: judging }: typeof found) =>
    held + [training, step, judging].reduce((sum, l) => sum + (l ? l.bytes.activations + l.bytes.inputs : 0), 0);
  return {
    bytes: {
      variables: held,
      activations: found.training.bytes.activations,
      inputs: found.training.bytes.inputs,
      evaluation: found.judge.bytes.activations + found.judge.bytes.inputs,
      peak: peakOf(found),
    },
    parameters,
    flops: config.accumulate * flopsOf(found.training),
    fits: reason === undefined,
    reason,
    recomputePeak: config.recompute ? undefined : peakOf(layouts(true, unlimited)),
  };
}

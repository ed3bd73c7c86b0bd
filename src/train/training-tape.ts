/** One training step on a tape: the model's graph, its gradients, clipping and AdamW. What trains, benchmarks and checks all record. */

import type { GraphOptions, HySparK, HySparKGraph } from '../models/hyspark/hyspark.ts';
import { adamw, gradientNorm, keepGradients } from '../ops/adamw.ts';
import type { Target } from '../tape/op.ts';
import { Tape } from '../tape/tape.ts';
import type { Tensor } from '../tape/tensor.ts';
import type { Variables } from '../tape/variables.ts';

export interface TrainingTapeOptions extends Omit<GraphOptions, 'training'> {
  /** Largest L2 norm of all gradients together; 5 in the paper's recipe. */
  readonly clip: number;
}

export interface TrainingTape {
  readonly tape: Tape;
  readonly graph: HySparKGraph;
  /** Input [4]: `adamwSchedule`. */
  readonly schedule: Tensor;
  /** [2], reported after the loss: the gradient norm before clipping, and the factor that clipped it. */
  readonly norm: Tensor;
}

/** Records a step whose reports are the loss [1] and the norm [2], in that order. */
export function trainingTape(
  target: Target,
  model: HySparK,
  variables: Variables,
  options: TrainingTapeOptions,
): TrainingTape {
  const { clip, ...graphOptions } = options;
  const tape = new Tape(target);
  const graph = model.graph(tape, { ...graphOptions, training: true });
  tape.report(graph.loss);
  keepGradients(tape, tape.backward(graph.loss), variables);
  return tape.scope('optimiser', () => {
    const chunks = variables.chunks();
    const norm = tape.report(gradientNorm(tape, chunks, clip));
    const schedule = tape.input('schedule', [4]);
    adamw(tape, chunks, norm, schedule);
    return { tape, graph, schedule, norm };
  });
}

/** The numbers of a run as they are drawn: from its events while it goes on, from `metrics.jsonl` afterwards. */

import type { Baselines, Evaluation, MetricsRow, Progress } from '../index.ts';

type Step = Pick<Progress, 'step' | 'loss' | 'learningRate' | 'cropsPerSecond'>;

export class CurveData {
  steps: number[] = [];
  loss: number[] = [];
  learningRate: number[] = [];
  cropsPerSecond: number[] = [];
  evaluations: Evaluation[] = [];
  baselines: Baselines | undefined;

  static fromMetrics(text: string): CurveData {
    const data = new CurveData();
    for (const line of text.split('\n')) {
      let row: MetricsRow;
      try {
        if (!line) continue;
        row = JSON.parse(line, (_, value: unknown) => value ?? Number.NaN) as MetricsRow; // null: not finite
      } catch {
        break; // half a line of a process that was killed
      }
      if (row.kind === 'step') data.addStep(row);
      else if (row.kind === 'evaluation') data.addEvaluation(row);
      else data.baselines = row;
    }
    return data;
  }

  /** A resumed run takes some steps again: what came from there on is replaced. */
  addStep({ step, loss, learningRate, cropsPerSecond }: Step): void {
    while (this.steps.length > 0 && this.steps.at(-1)! >= step) {
      for (const column of [this.steps, this.loss, this.learningRate, this.cropsPerSecond]) column.pop();
    }
    this.steps.push(step);
    this.loss.push(loss);
    this.learningRate.push(learningRate);
    this.cropsPerSecond.push(cropsPerSecond);
  }

  addEvaluation(evaluation: Evaluation): void {
    this.evaluations = [...this.evaluations.filter(({ step }) => step < evaluation.step), evaluation];
  }
}

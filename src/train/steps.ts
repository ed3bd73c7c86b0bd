/** A run's steps between their submission and their losses, and which step the weights are of. */

import type { Batch } from '../data/loader.ts';
import type { StepLosses, Trainer } from './trainer.ts';

type Crops = Batch['crops'];

/** A step whose losses are not known yet. */
interface Submitted {
  readonly losses: Promise<StepLosses>;
  readonly crops: Crops;
}

export class Steps {
  /** Steps whose losses are known, and good. */
  known = 0;
  /** Undefined while the weights are of no step: being loaded, or left by a submission that failed. */
  private inWeights: number | undefined;
  private late: Submitted[] = [];

  /** The weights are those after `step` steps, and nothing is under way. */
  begin(step: number): void {
    this.known = step;
    this.inWeights = step;
    this.late = [];
  }

  /** The weights are of no step until the next `begin`. */
  forget(): void {
    this.inWeights = undefined;
    this.late = [];
  }

  get submitted(): number {
    return this.known + this.late.length;
  }

  /** Whether the weights are those after `known` steps: fit to be kept under that number. */
  get areInWeights(): boolean {
    return this.inWeights === this.known;
  }

  async submit(trainer: Trainer, volumes: readonly Float32Array[], crops: Crops): Promise<void> {
    const step = this.submitted;
    this.inWeights = undefined;
    const { losses } = await trainer.submit(step, volumes);
    this.late.push({ losses, crops });
    this.inWeights = step + 1;
  }

  /**
   * Waits for the losses of all steps but the last `most`.
   * @param accept is given each step's number (from 0) in order; when it throws, the step does not count as known
   */
  async settle(
    most: number,
    accept: (step: number, losses: StepLosses, crops: Crops) => void | Promise<void>,
  ): Promise<void> {
    while (this.late.length > most) {
      const { losses, crops } = this.late[0]!;
      await accept(this.known, await losses, crops);
      this.late.shift();
      this.known++;
    }
  }
}

/** Steps that mixed precision leaves out because a gradient overflowed f16: a few are its way of finding a loss scale, many are not. */

/** Steps that are looked back on, and how many of them left out are worth a sentence. */
const WINDOW = 100;
const MANY = 10;

export class Overflows {
  /** Of the last steps, whether each was left out. */
  private readonly recent: boolean[] = [];
  private quiet = 0;

  constructor(private readonly warn: (text: string) => void) {}

  /**
   * Counts a step. False where training cannot go on: a gradient that is not finite without a loss scale, or with the smallest.
   * @param lossScale that the step was computed with
   */
  mayGoOn(gradientNorm: number, lossScale: number | undefined): boolean {
    const leftOut = !Number.isFinite(gradientNorm);
    if (leftOut && !(lossScale !== undefined && lossScale > 1)) return false;
    this.recent.push(leftOut);
    if (this.recent.length > WINDOW) this.recent.shift();
    const count = this.recent.filter(Boolean).length;
    if (this.quiet > 0) this.quiet--;
    else if (count >= MANY) {
      this.quiet = WINDOW;
      this.warn(
        `${count} of the last ${this.recent.length} steps were left out because gradients overflowed 16-bit storage (loss scale ${lossScale}). If it goes on, train in float32 or with a lower learning rate.`,
      );
    }
    return true;
  }
}

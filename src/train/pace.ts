/** How fast a run is over its latest steps. */

/** Steps that it is taken over. */
const RECENT = 30;
/**
 * First steps of a stretch, which say little: the first waits for what the driver left to be built, and those that were submitted meanwhile
 * are then done almost at once.
 */
const WARM_UP = 4;

export class Pace {
  /** When the latest steps were done, oldest first; begins anew after a pause. */
  private times: { readonly at: number; readonly step: number; readonly idleMs: number }[] = [];
  private warm = false;

  /** @param idleMs milliseconds in which the GPU had nothing to do, since any moment */
  restart(step: number, idleMs: number): void {
    this.times = [{ at: performance.now(), step, idleMs }];
    this.warm = false;
  }

  /** Counts a step. `waitedShare` of the time the GPU had nothing to do, 0..1. */
  count(step: number, idleMs: number): { readonly secondsPerStep: number; readonly waitedShare: number } {
    const at = performance.now();
    this.times.push({ at, step, idleMs });
    // They count for as long as there are no others.
    if (!this.warm && this.times.length > WARM_UP + 1) {
      this.times.splice(0, WARM_UP);
      this.warm = true;
    }
    if (this.times.length > RECENT) this.times.shift();
    const first = this.times[0]!;
    const seconds = (at - first.at) / 1000;
    return {
      secondsPerStep: seconds / (step - first.step),
      waitedShare: Math.min(1, (idleMs - first.idleMs) / 1000 / seconds),
    };
  }
}

/** How fast a run is over its latest steps. */

/** Steps that it is taken over. */
const RECENT = 30;

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
    // The first step of a stretch builds what the driver left for later: it counts for as long as there is no other.
    if (this.times.length > RECENT || (!this.warm && this.times.length === 3)) {
      this.times.shift();
      this.warm = true;
    }
    const first = this.times[0]!;
    const seconds = (at - first.at) / 1000;
    return {
      secondsPerStep: seconds / (step - first.step),
      waitedShare: Math.min(1, (idleMs - first.idleMs) / 1000 / seconds),
    };
  }
}

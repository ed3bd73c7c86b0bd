/** Whoever is told what a run does. When it throws, it hears no more, and the run is to end: its exception is no reason to lose steps. */

import { asError, type HysparkError } from '../errors.ts';
import type { Log } from './folder.ts';
import type { RunEvent } from './types.ts';

/** Milliseconds between counts that are told. */
const COUNT_MS = 100;
/** What takes longer deserves a guess of its end. */
const GUESS_MS = 2000;

export class Listener {
  /** What it threw. */
  failed: HysparkError | undefined;

  constructor(private readonly onEvent: (event: RunEvent) => unknown) {}

  tell(event: RunEvent): void {
    if (this.failed) return;
    const fail = (cause: unknown) => {
      this.failed ??= asError(cause, `Telling of "${event.type}"`);
    };
    try {
      const answer = this.onEvent(event);
      if (answer instanceof Promise) answer.catch(fail); // an async function
    } catch (cause) {
      fail(cause);
    }
  }

  /** Throws what the listener threw. */
  check(): void {
    if (this.failed) throw this.failed;
  }

  /** Counts what a part of the preparation has done, and guesses what is left. */
  counter(): (done: number, of: number) => void {
    const began = performance.now();
    let told = began;
    return (done, of) => {
      const now = performance.now();
      if (now - told < COUNT_MS && done < of) return;
      told = now;
      const secondsLeft = now - began > GUESS_MS ? ((now - began) / 1000 / done) * (of - done) : undefined;
      this.tell({ type: 'preparation', done, of, secondsLeft });
    };
  }

  readonly log: Log = (level, text) => this.tell({ type: 'log', line: { time: Date.now(), level, text } });
}

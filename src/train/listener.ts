/** Whoever is told what a run does. When it throws, it hears no more, and the run is to end: its exception is no reason to lose steps. */

import { asError, type HysparkError } from '../errors.ts';
import type { Log } from './folder.ts';
import type { RunEvent } from './types.ts';

export class Listener {
  /** What it threw. */
  failed: HysparkError | undefined;

  constructor(private readonly onEvent: (event: RunEvent) => void) {}

  tell(event: RunEvent): void {
    if (this.failed) return;
    try {
      this.onEvent(event);
    } catch (cause) {
      this.failed = asError(cause, `Telling of "${event.type}"`);
    }
  }

  /** Throws what the listener threw. */
  check(): void {
    if (this.failed) throw this.failed;
  }

  readonly log: Log = (level, text) => this.tell({ type: 'log', line: { time: Date.now(), level, text } });
}

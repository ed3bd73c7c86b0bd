/** What the engine and whoever shows its runs know of them without each other. */

import type { RunPhase } from '../train/types.ts';

/** A name for a run's folder, from the time (UTC, to the second). */
export function newRunName(now = new Date()): string {
  return now.toISOString().slice(0, 19).replaceAll(':', '-');
}

/** Whether a run of this phase is under way. */
export function isLive(phase: RunPhase): boolean {
  return phase === 'preparing' || phase === 'training' || phase === 'paused';
}

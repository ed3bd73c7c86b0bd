/** Keeps the screen, and so the machine, awake while a run is training. Browsers drop the lock when the tab is hidden. */

let wanted = false;
let lock: WakeLockSentinel | undefined;
/** One change after the other: a lock that is still being asked for cannot be given back. */
let changes = Promise.resolve();

export function keepAwake(on: boolean): void {
  wanted = on;
  update();
}

function update(): void {
  changes = changes.then(change);
}

async function change(): Promise<void> {
  if (!wanted) {
    await lock?.release();
    lock = undefined;
  } else if (document.visibilityState === 'visible' && (!lock || lock.released)) {
    // Refused on a low battery, absent in some browsers: training goes on without.
    lock = await navigator.wakeLock?.request('screen').catch(() => undefined);
  }
}

document.addEventListener('visibilitychange', update);

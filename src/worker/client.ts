/** The engine in a dedicated worker, for browsers. */

import * as Comlink from 'comlink';
import { failureOf, whileAlive } from '../data/worker/alive.ts';
import '../data/worker/errors.ts';
import { HysparkError } from '../errors.ts';
import type { EngineService } from './protocol.ts';

export interface EngineClient extends EngineService {
  /** Resolves with a phrase when the worker has died, or could not be loaded: every call rejects then. */
  readonly died: Promise<string>;
  /** Ends the worker at once, whatever it does: for a page that goes away. `dispose` is the polite way. */
  terminate(): void;
}

/** How the page hears that the worker is gone: it gets a lock that the worker held. */
export interface LifeSign {
  /** Resolves when the worker holds the lock. */
  hold(name: string): Promise<void>;
}

/** Starts the worker; call `open` next. */
export function startEngine(): EngineClient {
  const worker = new Worker(new URL('./engine-worker.ts', import.meta.url), { type: 'module', name: 'hyspark' });
  const wrapped = Comlink.wrap<EngineService & LifeSign>(worker);
  const died = Promise.race([failureOf(worker), endOf(wrapped)]);
  const death = died.then((got) => new HysparkError('bad-state', { doing: 'Using the engine', got }));
  const remote = whileAlive<EngineService>(wrapped as unknown as EngineService, death);
  const terminate = () => {
    wrapped[Comlink.releaseProxy]();
    worker.terminate();
  };
  return {
    died,
    open: (options) => remote.open(options),
    plan: (options) => remote.plan(options),
    measure: (options) => remote.measure(options),
    start: (request, onEvent) => remote.start(request, onEvent),
    finished: () => remote.finished(),
    pause: () => remote.pause(),
    resume: () => remote.resume(),
    stop: () => remote.stop(),
    preview: (index) => remote.preview(index),
    listRuns: () => remote.listRuns(),
    readRunFile: (run, path) => remote.readRunFile(run, path),
    exportWeights: (run, format, which) => remote.exportWeights(run, format, which),
    configOf: (run) => remote.configOf(run),
    reconstruct: (run, volume, seed) => remote.reconstruct(run, volume, seed),
    deleteRun: (run) => remote.deleteRun(run),
    cacheBytes: () => remote.cacheBytes(),
    clearCache: () => remote.clearCache(),
    async dispose() {
      try {
        await remote.dispose();
      } finally {
        terminate(); // one that was given up may live on, with the GPU and the run's lock
      }
    },
    terminate,
  };
}

/** Resolves when the worker ends without an event: by itself, by the browser for want of memory, or in a crash. */
async function endOf(worker: Comlink.Remote<LifeSign>): Promise<string> {
  const name = `hyspark engine ${Date.now()} ${Math.random()}`;
  await worker.hold(name);
  return navigator.locks.request(name, () => 'its worker stopped');
}

/** The Web Worker of the engine: runs lie in the origin's private file system, scans are prepared in further workers. */

import * as Comlink from 'comlink';
import '../data/worker/errors.ts';
import { startLoaderWorker } from '../data/worker/browser.ts';
import { OpfsStore } from '../store/opfs.ts';
import { storeIn } from '../store/store.ts';
import type { LifeSign } from './client.ts';
import { Engine, type RunLock } from './engine.ts';
import type { EngineService, Preview, RunEvent } from './protocol.ts';

const engine = new Engine({
  runs: storeIn(new OpfsStore(), 'runs'),
  cache: new OpfsStore(),
  startLoader() {
    const { service, terminate } = startLoaderWorker();
    return { service, end: terminate };
  },
  lock: takeLock,
  async holder(run) {
    const { held } = await navigator.locks.query();
    return held?.some(({ name }) => name === lockName(run)) ? 'a tab' : undefined;
  },
});

const exposed: EngineService & LifeSign = {
  hold: (name) => new Promise((resolve) => void navigator.locks?.request(name, () => resolveAndHold(resolve))),
  open: (options) => engine.open(options),
  plan: (options) => engine.plan(options),
  measure: (options) => engine.measure(options),
  start: (request, onEvent) => engine.start(request, (event) => onEvent(moved(event))),
  finished: () => engine.finished(),
  pause: () => engine.pause(),
  resume: () => engine.resume(),
  stop: () => engine.stop(),
  preview: async (index) => movedPreview(await engine.preview(index)),
  listRuns: () => engine.listRuns(),
  readRunFile: (run, path) => engine.readRunFile(run, path),
  exportWeights: (run, format, which) => engine.exportWeights(run, format, which),
  configOf: (run) => engine.configOf(run),
  reconstruct: (run, volume, seed) => engine.reconstruct(run, volume, seed),
  deleteRun: (run) => engine.deleteRun(run),
  cacheBytes: () => engine.cacheBytes(),
  clearCache: () => engine.clearCache(),
  dispose: () => engine.dispose(),
};
Comlink.expose(exposed);

/** Keeps a lock for as long as the worker lives. */
function resolveAndHold(resolve: () => void): Promise<never> {
  resolve();
  return new Promise(() => undefined);
}

/** Volumes are moved to the page, not copied. */
function movedPreview(preview: Preview): Preview {
  const { original, masked, reconstructed } = preview;
  return Comlink.transfer(preview, [original.buffer, masked.buffer, reconstructed.buffer]);
}

function moved(event: RunEvent): RunEvent {
  if (event.type !== 'preview') return event;
  const { original, masked, reconstructed } = event.preview;
  return Comlink.transfer(event, [original.buffer, masked.buffer, reconstructed.buffer]);
}

function lockName(run: string): string {
  return `hyspark run ${run}`;
}

/** A lock of the browser: it goes with the tab, however that ends. */
function takeLock(run: string): Promise<RunLock> {
  return new Promise((resolve, reject) => {
    const request = navigator.locks.request(lockName(run), { ifAvailable: true }, (lock) => {
      if (!lock) return resolve({ holder: 'another tab' });
      return new Promise<void>((release) => resolve({ release }));
    });
    request.catch(reject);
  });
}

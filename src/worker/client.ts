/** The engine in a dedicated worker, for browsers. */

import * as Comlink from 'comlink';
import '../data/worker/errors.ts';
import type { EngineService } from './protocol.ts';

export interface EngineClient extends EngineService {
  /** Ends the worker at once, whatever it does: for a page that goes away. `dispose` is the polite way. */
  terminate(): void;
}

/** Starts the worker; call `open` next. */
export function startEngine(): EngineClient {
  const worker = new Worker(new URL('./engine-worker.ts', import.meta.url), { type: 'module', name: 'hyspark' });
  const remote = Comlink.wrap<EngineService>(worker);
  const terminate = () => {
    remote[Comlink.releaseProxy]();
    worker.terminate();
  };
  return {
    open: (options) => remote.open(options),
    plan: (options) => remote.plan(options),
    measure: (options) => remote.measure(options),
    start: (request, onEvent) => remote.start(request, Comlink.proxy(onEvent)),
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
    async dispose() {
      await remote.dispose();
      terminate();
    },
    terminate,
  };
}

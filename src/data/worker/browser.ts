/** Starting the workers of the data path in browsers. */

import * as Comlink from 'comlink';
import './errors.ts';
import { HysparkError } from '../../errors.ts';
import { failureOf, whileAlive } from './alive.ts';
import type { LoaderService } from './loader-service.ts';
import type { DataService, DataWorker } from './protocol.ts';

export function startDataWorker(): DataWorker {
  const worker = new Worker(new URL('./data-worker.ts', import.meta.url), { type: 'module' });
  return { service: Comlink.wrap<DataService>(worker), died: failureOf(worker), close: () => worker.terminate() };
}

/** The loader in its worker. `terminate` ends that worker; call the service's `close` first. */
export function startLoaderWorker(): { service: LoaderService; terminate: () => void } {
  const worker = new Worker(new URL('./loader-worker.ts', import.meta.url), { type: 'module' });
  const death = failureOf(worker).then((got) => new HysparkError('bad-state', { doing: 'Loading scans', got }));
  return { service: whileAlive<LoaderService>(Comlink.wrap(worker), death), terminate: () => worker.terminate() };
}

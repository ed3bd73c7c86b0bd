/** Starting data workers in browsers. */

import * as Comlink from 'comlink';
import type { DataService, DataWorker } from './protocol.ts';

export function startDataWorker(): DataWorker {
  const worker = new Worker(new URL('./data-worker.ts', import.meta.url), { type: 'module' });
  const died = new Promise<string>((resolve) => {
    worker.onerror = (event) => resolve(event.message || 'the data worker stopped');
  });
  return { service: Comlink.wrap<DataService>(worker), died, close: () => worker.terminate() };
}

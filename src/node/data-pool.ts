/** Data workers as threads. */

import { availableParallelism } from 'node:os';
import * as Comlink from 'comlink';
import nodeEndpoint from 'comlink/dist/esm/node-adapter.mjs';
import { DataPool } from '../data/worker/pool.ts';
import type { DataService, DataWorker } from '../data/worker/protocol.ts';
import { startThread } from './threads.ts';

/** A pool of data threads, by default one for each core. */
export function createDataPool(size = availableParallelism()): DataPool {
  return new DataPool(startDataThread, size);
}

function startDataThread(): DataWorker {
  const thread = startThread(new URL('./data-thread.ts', import.meta.url));
  const died = new Promise<string>((resolve) => {
    thread.once('error', (error: Error) => resolve(error.message));
    thread.once('exit', () => resolve('the data thread stopped'));
  });
  // Whoever made the pool closes it: a running thread keeps the program alive.
  return { service: Comlink.wrap<DataService>(nodeEndpoint(thread)), died, close: () => void thread.terminate() };
}

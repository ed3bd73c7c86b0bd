/** The page's side of the scan worker: started when first needed, and anew when it dies of a scan. */

import * as Comlink from 'comlink';
import { HysparkError } from '../errors.ts';
import '../data/worker/errors.ts';
import type { ScanService } from './scan-protocol.ts';

export class ScanClient {
  #worker: Worker | undefined;
  #service: ScanService | undefined;
  #died: Promise<never> | undefined;

  /** `work` in the worker. Rejects with `bad-file` when the worker dies of it, most often for want of memory. */
  run<T>(work: (service: ScanService) => Promise<T>): Promise<T> {
    if (!this.#service) this.#start();
    return Promise.race([work(this.#service!), this.#died!]);
  }

  #start(): void {
    const worker = new Worker(new URL('./scan-worker.ts', import.meta.url), { type: 'module' });
    this.#worker = worker;
    this.#service = Comlink.wrap<ScanService>(worker);
    this.#died = new Promise((_, reject) => {
      worker.onerror = (event) => {
        this.#worker?.terminate();
        this.#service = undefined;
        reject(problem(event.message));
      };
    });
    this.#died.catch(() => undefined); // said by `run`
  }
}

/** A script that could not be loaded says nothing; one that ended by an error says which. */
function problem(message: string | undefined): HysparkError {
  if (!message) {
    const got = 'a worker whose script could not be loaded';
    const advice = 'Check that the server of this page can be reached, then reload the page';
    return new HysparkError('bad-state', { doing: 'Reading a scan', got, advice });
  }
  return new HysparkError('bad-file', {
    doing: 'Reading a scan',
    got: message,
    advice: 'It may be too large for memory',
  });
}

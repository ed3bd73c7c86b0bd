/** The page's side of the scan worker: started when first needed, and anew when it dies of a scan. */

import * as Comlink from 'comlink';
import { failureOf, whileAlive } from '../data/worker/alive.ts';
import '../data/worker/errors.ts';
import { HysparkError } from '../errors.ts';
import type { ScanService } from './scan-protocol.ts';

export class ScanClient {
  #service: ScanService | undefined;

  /** `work` in the worker. Rejects with `bad-file` when the worker dies of it, most often for want of memory. */
  run<T>(work: (service: ScanService) => Promise<T>): Promise<T> {
    this.#service ??= this.#start();
    return work(this.#service);
  }

  #start(): ScanService {
    const worker = new Worker(new URL('./scan-worker.ts', import.meta.url), { type: 'module' });
    const death = failureOf(worker).then((why) => {
      worker.terminate();
      this.#service = undefined;
      return problem(why);
    });
    return whileAlive<ScanService>(Comlink.wrap(worker), death);
  }
}

/** No scan is to blame for a script that could not be loaded. */
function problem(why: string): HysparkError {
  const doing = 'Reading a scan';
  if (why.includes('could not be loaded')) {
    const got = 'a worker whose script could not be loaded';
    const advice = 'Check that the server of this page can be reached, then reload the page';
    return new HysparkError('bad-state', { doing, got, advice });
  }
  return new HysparkError('bad-file', { doing, got: why, advice: 'It may be too large for memory' });
}

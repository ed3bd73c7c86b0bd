/** Several data workers: each call goes to a free one, and a worker that dies is replaced. */

import type { PrepareOptions } from '../prepare.ts';
import type { AuditResult, ScanSource } from '../source.ts';
import type { DataService, DataWorker, PrepareResult } from './protocol.ts';

export class DataPool {
  readonly #start: () => DataWorker;
  readonly #free: DataWorker[] = [];
  readonly #waiting: ((worker: DataWorker) => void)[] = [];
  #started = 0;
  readonly size: number;

  /** `start` makes a worker; `size` is the most that run at once. Workers start when they are first needed. */
  constructor(start: () => DataWorker, size: number) {
    this.#start = start;
    this.size = Math.max(1, Math.floor(size));
  }

  async audit(source: ScanSource): Promise<AuditResult> {
    return this.#run(
      (service) => service.audit(source),
      (reason) => ({ usable: false, hash: '', reason }),
    );
  }

  async prepare(source: ScanSource, options: PrepareOptions): Promise<PrepareResult> {
    return this.#run(
      (service) => service.prepare(source, options),
      (reason) => ({ usable: false, reason }),
    );
  }

  close(): void {
    for (const worker of this.#free.splice(0)) worker.close();
    this.#started = 0;
  }

  /** `work` on a free worker; `failure` makes a result of the reason why a worker died meanwhile. */
  async #run<T>(work: (service: DataService) => Promise<T>, failure: (reason: string) => T): Promise<T> {
    const worker = await this.#take();
    const dead = worker.died.then((reason) => ({ reason }));
    const outcome = await Promise.race([work(worker.service).then((result) => ({ result })), dead]);
    if ('result' in outcome) {
      this.#give(worker);
      return outcome.result;
    }
    worker.close();
    this.#give(this.#start());
    return failure(`Reading stopped: ${outcome.reason}. The scan may be too large for the memory.`);
  }

  async #take(): Promise<DataWorker> {
    const free = this.#free.pop();
    if (free) return free;
    if (this.#started < this.size) {
      this.#started++;
      return this.#start();
    }
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #give(worker: DataWorker): void {
    const next = this.#waiting.shift();
    if (next) next(worker);
    else this.#free.push(worker);
  }
}

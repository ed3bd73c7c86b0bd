/** Several data workers: each call goes to a free one, and a worker that dies is replaced. */

import type { PrepareOptions } from '../prepare.ts';
import type { AuditResult, ScanSource } from '../source.ts';
import type { DataService, DataWorker, PrepareResult } from './protocol.ts';

/** A worker, and whom to tell when it dies in the middle of a call. */
interface Slot {
  readonly worker: DataWorker;
  onDeath: (reason: string) => void;
  dead: boolean;
}

export class DataPool {
  readonly #start: () => DataWorker;
  readonly #slots = new Set<Slot>();
  readonly #free: Slot[] = [];
  readonly #waiting: ((slot: Slot) => void)[] = [];
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

  /** Stops the workers; calls in progress end with a reason. */
  close(): void {
    for (const slot of this.#slots) {
      slot.worker.close();
      slot.onDeath('the data workers were closed');
    }
    this.#slots.clear();
    this.#free.length = 0;
  }

  /** `work` on a free worker; `failure` makes a result of the reason why a worker died meanwhile. */
  async #run<T>(work: (service: DataService) => Promise<T>, failure: (reason: string) => T): Promise<T> {
    const slot = await this.#take();
    try {
      return await new Promise<T>((resolve, reject) => {
        slot.onDeath = (reason) => {
          resolve(failure(`Reading stopped: ${reason}. The scan may be too large for the memory.`));
        };
        work(slot.worker.service).then(resolve, reject);
      });
    } finally {
      slot.onDeath = () => undefined;
      this.#give(slot);
    }
  }

  async #take(): Promise<Slot> {
    const free = this.#free.pop();
    if (free) return free;
    if (this.#slots.size < this.size) return this.#startSlot();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #give(slot: Slot): void {
    const next = this.#waiting.shift();
    if (!slot.dead && this.#slots.has(slot)) {
      if (next) next(slot);
      else this.#free.push(slot);
    } else if (next) next(this.#startSlot());
  }

  #startSlot(): Slot {
    const slot: Slot = { worker: this.#start(), onDeath: () => undefined, dead: false };
    this.#slots.add(slot);
    // Registered once: a handler for each call would pile up over a long run.
    void slot.worker.died.then((reason) => {
      slot.dead = true;
      this.#slots.delete(slot);
      const place = this.#free.indexOf(slot);
      if (place >= 0) this.#free.splice(place, 1);
      slot.worker.close();
      slot.onDeath(reason);
    });
    return slot;
  }
}

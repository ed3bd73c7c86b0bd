/** Several data workers: each call goes to a free one, and a worker that dies is replaced. */

import type { PrepareOptions } from '../prepare.ts';
import type { AuditResult, ScanSource } from '../source.ts';
import type { DataService, DataWorker, PrepareResult } from './protocol.ts';

/** A worker, and whom to tell, in a sentence, when it ends in the middle of a call. */
interface Slot {
  readonly worker: DataWorker;
  onDeath: (reason: string) => void;
  dead: boolean;
}

const CLOSED = 'Reading stopped: the data workers were closed.';

export class DataPool {
  readonly #start: () => DataWorker;
  readonly #slots = new Set<Slot>();
  readonly #free: Slot[] = [];
  readonly #waiting: ((slot: Slot | undefined) => void)[] = [];
  #closed = false;
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

  /** `hash` is that which the source was found by: content that has changed since is refused. */
  async prepare(source: ScanSource, options: PrepareOptions, hash?: string): Promise<PrepareResult> {
    return this.#run(
      (service) => service.prepare(source, options, hash),
      (reason) => ({ usable: false, reason }),
    );
  }

  /** Stops the workers for good; calls in progress and those that wait end with a reason. */
  close(): void {
    this.#closed = true;
    for (const slot of this.#slots) {
      slot.worker.close();
      slot.onDeath(CLOSED);
    }
    this.#slots.clear();
    this.#free.length = 0;
    for (const next of this.#waiting.splice(0)) next(undefined);
  }

  /** `work` on a free worker; `failure` makes a result of the reason why a worker died meanwhile. */
  async #run<T>(work: (service: DataService) => Promise<T>, failure: (reason: string) => T): Promise<T> {
    const slot = await this.#take();
    if (!slot) return failure(CLOSED);
    try {
      return await new Promise<T>((resolve, reject) => {
        slot.onDeath = (reason) => resolve(failure(reason));
        work(slot.worker.service).then(resolve, reject);
      });
    } finally {
      slot.onDeath = () => undefined;
      this.#give(slot);
    }
  }

  /** A free worker, once there is one; none when the pool is closed. */
  async #take(): Promise<Slot | undefined> {
    if (this.#closed) return undefined;
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
      slot.onDeath(`Reading stopped: ${reason}. The scan may be too large for the memory.`);
    });
    return slot;
  }
}

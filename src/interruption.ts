/** Something that makes waiting pointless: a stop, the death of a worker. */

/** A race of each piece of work with one promise would keep every result alive for as long as that promise is. */
export class Interruption {
  private readonly waiting = new Set<(error: Error) => void>();
  private error: Error | undefined;

  get happened(): boolean {
    return this.error !== undefined;
  }

  /** Whoever waits, or comes to wait, gets `error`: the first that happens. */
  happen(error: Error): void {
    this.error ??= error;
    for (const reject of this.waiting) reject(this.error);
    this.waiting.clear();
  }

  /** Throws what has happened. */
  check(): void {
    if (this.error) throw this.error;
  }

  /** What `work` resolves with, unless it is interrupted: then it is left to itself, or not begun. */
  async during<T>(work: () => Promise<T>): Promise<T> {
    this.check();
    return new Promise<T>((resolve, reject) => {
      this.waiting.add(reject);
      work()
        .then(resolve, reject)
        .finally(() => this.waiting.delete(reject));
    });
  }
}

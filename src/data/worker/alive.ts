/** Services in workers that may die: what is asked of them then fails instead of waiting for ever. */

import * as Comlink from 'comlink';
import type { HysparkError } from '../../errors.ts';
import { Interruption } from '../../interruption.ts';

/**
 * `service`, a Comlink remote, whose pending and later calls reject once `death` has resolved. Functions among their
 * arguments go as proxies.
 */
export function whileAlive<T extends object>(service: T, death: Promise<HysparkError>): T {
  const end = new Interruption();
  void death.then((error) => end.happen(error));
  const call = (name: string, args: readonly unknown[]) => {
    const method = service[name as keyof T] as (...args: readonly unknown[]) => Promise<unknown>;
    return end.during(() => method(...args.map((arg) => (typeof arg === 'function' ? Comlink.proxy(arg) : arg))));
  };
  return new Proxy(service, {
    get: (_, name) => (name === 'then' ? undefined : (...args: unknown[]) => call(String(name), args)),
  });
}

/** Resolves with a phrase when the worker throws outside a call or cannot be loaded. One that ends itself says nothing. */
export function failureOf(worker: Worker): Promise<string> {
  return new Promise((resolve) => {
    worker.onerror = (event) => {
      event.preventDefault(); // an error that is dealt with here would go on to whoever started this worker's parent
      resolve(event.message || 'its worker could not be loaded');
    };
    worker.onmessageerror = () => resolve('a message of its worker could not be read');
  });
}

/** Worker threads whose code is TypeScript while developing and JavaScript once built. */

import { Worker, type WorkerOptions } from 'node:worker_threads';

/** Starts the module at `url`, which is that of a `.js` file in the built module and is loaded through `tsx` where it is a `.ts` file. */
export function startThread(url: URL, options: WorkerOptions = {}): Worker {
  if (url.pathname.endsWith('.js')) return new Worker(url, options);
  // A thread does not inherit tsx's hooks on every Node, so they are registered in it first.
  const start = `
    import { register } from ${JSON.stringify(import.meta.resolve('tsx/esm/api'))};
    register();
    await import(${JSON.stringify(url.href)});`;
  return new Worker(new URL(`data:text/javascript,${encodeURIComponent(start)}`), { ...options, execArgv: [] });
}

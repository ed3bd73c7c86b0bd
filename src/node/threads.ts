/** Worker threads whose code is TypeScript while developing and JavaScript once built. */

import { Worker, type WorkerOptions } from 'node:worker_threads';

/**
 * Starts the module at `url`, given with the ending `.ts`. Run from TypeScript sources, the thread loads it through
 * `tsx`; built, it is the `.js` file of the same name.
 */
export function startThread(url: URL, options: WorkerOptions = {}): Worker {
  const fromSources = import.meta.url.endsWith('.ts');
  if (!fromSources) return new Worker(new URL(url.href.replace(/\.ts$/, '.js')), options);
  // A thread does not inherit tsx's hooks on every Node, so they are registered in it first.
  const start = `
    import { register } from ${JSON.stringify(import.meta.resolve('tsx/esm/api'))};
    register();
    await import(${JSON.stringify(url.href)});`;
  return new Worker(new URL(`data:text/javascript,${encodeURIComponent(start)}`), { ...options, execArgv: [] });
}

/** The page of `data-path.test.ts`: runs the data path in a browser on the files given to its input. */

import { filesFromInput } from '../src/data/browser-files.ts';
import { inspect } from '../src/data/inspect.ts';
import { startDataWorker, startLoaderWorker } from '../src/data/worker/browser.ts';
import { browserPlatform } from '../src/data/worker/browser-platform.ts';
import { DataPool } from '../src/data/worker/pool.ts';
import { HysparkError } from '../src/errors.ts';
import { OpfsStore } from '../src/store/opfs.ts';
import { isFull } from '../src/store/store.ts';

/** Audit of the files, then some batches through a cache in OPFS: a fingerprint of each, and how many came cached. */
async function run() {
  const files = filesFromInput(document.querySelector('input')!.files!);
  const pool = new DataPool(startDataWorker, 2);
  const { scans, setAside } = await inspect(files, browserPlatform, pool);
  pool.close();
  await new OpfsStore().remove('volumes');
  const { service: loader, terminate } = startLoaderWorker();
  const early = await loader.next().catch((error: unknown) => error instanceof HysparkError && error.code);
  await loader.open(files, { seed: 3, batch: 2, crop: 48, heldOut: 0 }, 1e9);
  const batches: string[] = [];
  for (let i = 0; i < 12; i++) {
    const { voxels, crops, cursor } = await loader.next();
    let sum = 0;
    for (let at = 0; at < voxels.length; at++) sum += voxels[at]! * ((at % 1013) + 1);
    batches.push(JSON.stringify([sum, crops, cursor]));
  }
  const { statistics, cacheBytes } = await loader.status();
  await loader.close();
  terminate();
  return { scans, setAside, batches, early, cached: statistics.cached, cacheBytes };
}

/** Every method of the OPFS store once. */
async function useStore() {
  const store = new OpfsStore('store-test');
  for (const { path } of await store.list()) await store.remove(path);
  const text = (value: string) => new TextEncoder().encode(value);
  await store.write('runs/a/log', text('0123456789'));
  await store.append('runs/a/log', text('ab'));
  await store.write('runs/b', text('old'));
  await store.write('runs/b', text('new'));
  const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  const result = {
    whole: decode(await store.read('runs/a/log')),
    part: decode(await store.read('runs/a/log', { start: 8, end: 99 })),
    list: await store.list('runs/'),
    missing: await store.read('nothing').catch((error: Error) => error.message),
    noSize: (await store.size('runs/x/y')) === undefined,
    replaced: decode(await store.read('runs/b')),
    free: ((await store.free()) ?? 0) > 0,
  };
  await store.remove('runs');
  return { ...result, left: (await store.list()).length };
}

/** Writes 4 MiB where less is allowed. */
async function fillStore() {
  const store = new OpfsStore('full-test');
  const error = await store
    .write('big', crypto.getRandomValues(new Uint8Array(65536)).slice())
    .then(() => store.write('bigger', new Uint8Array(4 << 20)))
    .then(
      () => undefined,
      (e: Error) => e,
    );
  return { full: isFull(error), message: error?.message, kept: await store.list() };
}

Object.assign(window, { dataPath: { run, useStore, fillStore } });

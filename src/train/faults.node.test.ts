/** What a run keeps when its store, its device, its listener or its scans fail it. */

import { beforeAll, describe, expect, test } from 'vitest';
import { HysparkError } from '../errors.ts';
import { MemoryStore } from '../store/memory.ts';
import { storageError } from '../store/store.ts';
import { SMALL } from '../testing/hyspark.ts';
import { formulaLoader, losable, SMALL_RUN, type SmallRun, smallRun, troubles } from '../testing/runs.ts';
import { bestOf, RunFolder, readMetrics } from './folder.ts';
import type { RunEvent } from './types.ts';

const LAST = 'checkpoints/000008.safetensors';
const checkpoint = (step: number) => `checkpoints/00000${step}.safetensors`;

/** A run that nothing disturbed. */
const undisturbed = new MemoryStore();
beforeAll(async () => {
  await smallRun({ store: undisturbed });
});

/** A copy of the undisturbed run, whose methods a test may replace. */
async function copied(): Promise<MemoryStore> {
  const store = new MemoryStore();
  for (const { path } of await undisturbed.list()) await store.write(path, await undisturbed.read(path));
  return store;
}

const checkpointsIn = async (store: MemoryStore) => (await store.list('checkpoints/')).map(({ path }) => path);
const isEqual = async (a: MemoryStore, b: MemoryStore, path: string) =>
  Buffer.compare(await a.read(path), await b.read(path)) === 0;
const onStep = (step: number, act: () => void) => (event: RunEvent) => {
  if (event.type === 'progress' && event.progress.step === step) act();
};

/** What a file's Blob does when the file was removed or replaced, or its disk is gone. */
function unreadable(): Blob {
  const blob = new Blob([new Uint8Array(100)]);
  blob.slice = unreadable;
  blob.arrayBuffer = async () => {
    throw new DOMException('The blob could not be read', 'NotReadableError');
  };
  return blob;
}

describe('checkpoints that cannot be read', () => {
  test('are passed over, and stay until there is a new one', async () => {
    const store = await copied();
    const { open } = store;
    let fails = true;
    store.open = (path) => (path === LAST && fails ? Promise.resolve(unreadable()) : open.call(store, path));
    const result = await smallRun({ store, resume: true });
    fails = false;
    expect(troubles(result.events).join()).toMatch(
      /000008\.safetensors: got The blob could not be read\. It is passed/,
    );
    expect(result).toMatchObject({ phase: 'finished', step: 8, checkpoint: LAST });
    expect(await isEqual(store, undisturbed, LAST)).toBe(true);
  });

  test('when there is no other, refuse the resume and cost nothing', async () => {
    const store = await copied();
    const before = await store.list();
    store.open = async (path) => {
      if (path.startsWith('checkpoints/')) throw storageError('reading', path, { code: 'EMFILE' });
      return MemoryStore.prototype.open.call(store, path);
    };
    await expect(smallRun({ store, resume: true })).rejects.toMatchObject({ code: 'storage' });
    expect(await store.list()).toEqual(before);
  });

  test('of another network or another version are refused and kept', async () => {
    const store = await copied();
    const head = JSON.parse(new TextDecoder().decode(await store.read('config.json')));
    head.config.model = { ...SMALL, channels: [2, 3, 4, 5, 12] };
    await store.write('config.json', new TextEncoder().encode(JSON.stringify(head)));
    const before = await store.list();
    await expect(smallRun({ store, resume: true })).rejects.toMatchObject({ code: 'mismatch' });
    expect(await store.list()).toEqual(before);
  });

  test('after the GPU was lost end the run, and no weights are kept that are of no step', async () => {
    const store = new MemoryStore();
    const { device, lose } = losable();
    let fails = false;
    store.open = async (path) => {
      if (fails && path.startsWith('checkpoints/')) return unreadable();
      return MemoryStore.prototype.open.call(store, path);
    };
    const result = await smallRun({
      store,
      device,
      onEvent: onStep(5, () => {
        fails = true;
        lose();
      }),
    });
    expect(result).toMatchObject({ phase: 'failed', error: { code: 'storage' }, checkpoint: checkpoint(4) });
    expect(await checkpointsIn(store)).toEqual([checkpoint(2), checkpoint(4)]);
    fails = false;
    expect(await smallRun({ store, resume: true })).toMatchObject({ phase: 'finished' });
    expect(await isEqual(store, undisturbed, LAST)).toBe(true);
  });
});

describe('a store that fails', () => {
  test('to remove old checkpoints does not stop the run', async () => {
    const store = new MemoryStore();
    store.remove = async (path) => {
      throw storageError('removing', path, { code: 'EBUSY', message: 'busy' });
    };
    const result = await smallRun({ store });
    expect(result).toMatchObject({ phase: 'finished', step: 8, checkpoint: LAST });
    expect(troubles(result.events).filter((text) => /Old checkpoints could not be removed/.test(text))).toHaveLength(1);
  });

  test('for want of room spares the best checkpoint as long as there is another', async () => {
    const head = { format: 1, created: 0, config: {}, collection: { training: [], heldOut: [] } };
    const store = new MemoryStore(400);
    const folder = await RunFolder.create(store, head as never, () => undefined);
    store.capacity = (await store.size('config.json'))! + 300;
    const save = (step: number) =>
      folder.saveCheckpoint(step, 9, async function* () {
        yield new Uint8Array(100);
      });
    for (const [step, loss] of [
      [2, 0.5],
      [4, 0.8],
      [6, 0.9],
      [8, Number.NaN],
    ] as const) {
      folder.add({ kind: 'evaluation', step, loss, perCrop: [loss] });
      await save(step);
    }
    expect(await checkpointsIn(store)).toEqual([2, 6, 8].map(checkpoint));
    expect((await folder.best())?.step).toBe(2);
  });
});

test('a checkpoint that cannot be read counts for nothing, and goes when there is a new one', async () => {
  const store = new MemoryStore();
  const head = { format: 1, created: 0, config: {}, collection: { training: [], heldOut: [] } };
  const folder = await RunFolder.create(store, head as never, () => undefined);
  const save = (step: number) =>
    folder.saveCheckpoint(step, 9, async function* () {
      yield new Uint8Array(100);
    });
  for (const step of [2, 6]) {
    folder.add({ kind: 'evaluation', step, loss: 1 / step, perCrop: [1 / step] });
    await save(step);
  }
  folder.passOver(checkpoint(6));
  expect((await folder.checkpoints()).map(({ step }) => step)).toEqual([2]);
  expect((await folder.best())?.step).toBe(2);
  expect(await checkpointsIn(store)).toEqual([2, 6].map(checkpoint));
  await save(4);
  expect(await checkpointsIn(store)).toEqual([2, 4].map(checkpoint));
});

test('a loss that is not finite is no best, whatever the order', () => {
  const stored = [8, 6, 2].map((step) => ({ step, path: checkpoint(step) }));
  const rows = [0.9, 0.5, Number.NaN].map((loss, i) => {
    return { kind: 'evaluation', step: stored[i]!.step, loss, perCrop: [] } as const;
  });
  expect(bestOf(stored, rows)?.step).toBe(6);
});

test('losses that are not finite come back from the metrics as such', async () => {
  const store = new MemoryStore();
  const head = { format: 1, created: 0, config: {}, collection: { training: [], heldOut: [] } };
  const folder = await RunFolder.create(store, head as never, () => undefined);
  folder.add({ kind: 'evaluation', step: 2, loss: Number.POSITIVE_INFINITY, perCrop: [1, Number.NaN] });
  await folder.flush();
  expect(await readMetrics(store)).toEqual([
    { kind: 'evaluation', step: 2, loss: Number.NaN, perCrop: [1, Number.NaN] },
  ]);
});

test('a listener that throws ends the run with its steps kept; resumed, it ends with the same bits', async () => {
  const store = new MemoryStore();
  const onEvent = onStep(3, () => {
    throw new Error('my chart is broken');
  });
  const result = await smallRun({ store, onEvent });
  expect(result).toMatchObject({
    phase: 'failed',
    error: { doing: 'Telling of "progress"', got: 'my chart is broken' },
  });
  expect(result.checkpoint).toBe(checkpoint(result.step));
  await smallRun({ store, resume: true });
  expect(await isEqual(store, undisturbed, LAST)).toBe(true);
  // An async function's exception comes later, and ends the run as well.
  const late = async (event: RunEvent) => {
    if (event.type === 'progress') throw new Error('later');
  };
  const ended = await smallRun({ store: new MemoryStore(), onEvent: late });
  expect(ended).toMatchObject({ phase: 'failed', error: { got: 'later' } });
  const always = () => {
    throw new Error('always');
  };
  const nothing = new MemoryStore();
  await expect(smallRun({ store: nothing, onEvent: always })).rejects.toThrow('always');
  expect(await nothing.list()).toEqual([]);
});

describe('a run that is stopped', () => {
  const pausedAt =
    (step: number, act: (run: { stop(): void }) => void): SmallRun['onEvent'] =>
    (event, run) => {
      if (event.type === 'progress' && event.progress.step === step) run.pause();
      if (event.type === 'state' && event.phase === 'paused') setTimeout(() => act(run));
    };

  test('while paused takes no further step', async () => {
    const store = new MemoryStore();
    let at = 0;
    const onEvent: SmallRun['onEvent'] = (event, run) => {
      if (event.type === 'progress') at = event.progress.step;
      pausedAt(2, (r) => r.stop())!(event, run);
    };
    const result = await smallRun({ store, onEvent });
    expect(result).toMatchObject({ phase: 'stopped', step: at, checkpoint: checkpoint(at) });
    expect(at).toBeLessThan(8);
  });

  test('while paused on a GPU that has gone meanwhile is stopped, not failed', async () => {
    const { device, lose } = losable();
    const onEvent = pausedAt(2, (run) => {
      lose();
      setTimeout(() => run.stop(), 50);
    });
    expect(await smallRun({ store: new MemoryStore(), device, onEvent })).toMatchObject({ phase: 'stopped' });
  });

  test('while scans are looked for ends at once and leaves nothing', async () => {
    const store = new MemoryStore();
    const loader = { ...formulaLoader(), open: () => new Promise<never>(() => undefined) };
    const onEvent: SmallRun['onEvent'] = (event, run) => event.type === 'state' && setTimeout(() => run.stop(), 10);
    await expect(smallRun({ store, loader, onEvent })).rejects.toMatchObject({ code: 'aborted' });
    expect(await store.list()).toEqual([]);
  });
});

test('a run that is stopped while a lost GPU is replaced says that the GPU was lost', async () => {
  const { device, lose } = losable();
  const onEvent: SmallRun['onEvent'] = (event, run) => {
    onStep(5, lose)(event);
    if (event.type === 'state' && event.detail.startsWith('The GPU was lost')) run.stop();
  };
  const result = await smallRun({ store: new MemoryStore(), device, onEvent });
  expect(result).toMatchObject({ phase: 'failed', error: { code: 'device-lost' }, checkpoint: checkpoint(4) });
});

describe('a run that cannot begin', () => {
  test('leaves nothing, so that it can be tried again', async () => {
    const store = new MemoryStore();
    const loader = { ...formulaLoader(), evaluationCrops: () => Promise.reject(new Error('unplugged')) };
    await expect(smallRun({ store, loader })).rejects.toThrow('unplugged');
    expect(await store.list()).toEqual([]);
    expect(await smallRun({ store })).toMatchObject({ phase: 'finished' });
  });

  test('because the GPU is lost, and there is no other, says that', async () => {
    const { device, lose, opened } = losable();
    let asked = 0;
    const once = async () => {
      asked++;
      if (opened() === 0) return device();
      throw new HysparkError('no-adapter', { doing: 'Looking for a GPU', got: 'none' });
    };
    const onEvent = (event: RunEvent) => event.type === 'baselines' && lose();
    const store = new MemoryStore();
    await expect(smallRun({ store, device: once, onEvent })).rejects.toMatchObject({ code: 'no-adapter' });
    expect([asked, await store.list()]).toEqual([2, []]);
  });

  test('because the GPU is lost gets another', async () => {
    const { device, lose } = losable();
    let once = true;
    const onEvent = (event: RunEvent) => {
      if (event.type !== 'baselines' || !once) return;
      once = false;
      lose();
    };
    const store = new MemoryStore();
    const result = await smallRun({ store, device, onEvent });
    expect(result).toMatchObject({ phase: 'finished' });
    expect(troubles(result.events).join()).toMatch(/The GPU was lost while the run was being prepared/);
    expect(await isEqual(store, undisturbed, LAST)).toBe(true);
  });
});

test('a run from weights does not begin again from its seed', async () => {
  const store = new MemoryStore();
  const weights = new Blob([await undisturbed.read(LAST)]);
  await smallRun({ store, weights, options: { ...SMALL_RUN, steps: 2 } });
  await store.remove('checkpoints');
  await expect(smallRun({ store, resume: true })).rejects.toMatchObject({
    message: expect.stringMatching(/one that began from weights and had not got to its first checkpoint/),
  });
});

test('weights that fit in part can be taken in part, moments or not', async () => {
  const weights = new Blob([await undisturbed.read(LAST)]);
  const options = { ...SMALL_RUN, steps: 1, model: { ...SMALL, channels: [2, 3, 4, 5, 12] as const } };
  await expect(smallRun({ store: new MemoryStore(), weights, options })).rejects.toMatchObject({ code: 'mismatch' });
  const { events } = await smallRun({ store: new MemoryStore(), weights, options, partialWeights: true });
  const said = events.flatMap((event) => (event.type === 'log' ? [event.line.text] : []));
  expect(said.join()).toMatch(/Started from a checkpoint: \d+ tensors taken, [1-9]\d* as drawn from the seed/);
});

test('a finished run that is resumed says what it said', async () => {
  const { loss, preview } = await smallRun({ store: await copied(), resume: true });
  expect(loss).toBe((await readMetrics(undisturbed)).findLast((row) => row.kind === 'step')?.loss);
  expect(preview).toBe('previews/000008.png');
});

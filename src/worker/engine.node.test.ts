/** The engine's device and its one run: started, stopped, disposed of at awkward moments. */

import { afterEach, describe, expect, test } from 'vitest';
import type { LoaderService } from '../data/worker/loader-service.ts';
import { MemoryStore } from '../store/memory.ts';
import { formulaLoader, SMALL_RUN } from '../testing/runs.ts';
import { Engine } from './engine.ts';
import type { RunEvent } from './protocol.ts';

const adapter = process.env.HYSPARK_ADAPTER || undefined;
let engine: Engine;
afterEach(() => engine.dispose());

async function opened(runs = new MemoryStore(), service: LoaderService = formulaLoader()) {
  engine = new Engine({
    runs,
    cache: new MemoryStore(),
    startLoader: () => ({ service, end: () => undefined }),
    lock: async () => ({ release: () => undefined }),
    holder: async () => undefined,
  });
  await engine.open({ adapter });
  return engine;
}

const start = (options = SMALL_RUN, onEvent: (event: RunEvent) => void = () => undefined) =>
  engine.start({ id: 'a', files: [], options }, onEvent);
const statusOf = async (runs: MemoryStore) => JSON.parse(new TextDecoder().decode(await runs.read('a/status.json')));

describe('dispose', () => {
  test.each(['training', 'paused'] as const)('of a run that is %s stops it with its checkpoint', async (phase) => {
    const runs = new MemoryStore();
    await opened(runs);
    const reached = new Promise<void>((resolve) => {
      const onEvent = (event: RunEvent) => {
        if (event.type === 'progress' && event.progress.step === 2 && phase === 'paused') void engine.pause();
        if (event.type === 'progress' && event.progress.step === 3 && phase === 'training') resolve();
        if (event.type === 'state' && event.phase === 'paused') resolve();
      };
      void start({ ...SMALL_RUN, steps: 200, checkpointEvery: 100 }, onEvent);
    });
    await reached;
    await engine.dispose();
    const { phase: told, step } = await statusOf(runs);
    expect(told).toBe('stopped');
    expect(await runs.size(`a/checkpoints/${String(step).padStart(6, '0')}.safetensors`)).toBeGreaterThan(0);
    await expect(engine.device()).rejects.toMatchObject({ code: 'bad-state' });
  });

  test.each(['state', 'plan', 'preview'])(
    'of a run that is being prepared (%s) ends it, and nothing is left',
    async (at) => {
      const runs = new MemoryStore();
      await opened(runs);
      let steps = 0;
      const started = start(SMALL_RUN, (event) => {
        if (event.type === at) void engine.dispose();
        if (event.type === 'progress') steps++;
      });
      await expect(started).rejects.toMatchObject({ code: 'aborted' });
      await engine.dispose();
      expect([steps, await runs.list()]).toEqual([0, []]);
    },
  );
});

test('stop while a run is being prepared ends it; another can be started then', async () => {
  await opened();
  const started = start(SMALL_RUN, (event) => {
    if (event.type === 'plan') setTimeout(() => void engine.stop());
  });
  await expect(started).rejects.toMatchObject({ code: 'aborted' });
  await start();
  expect(await engine.finished()).toMatchObject({ phase: 'finished', step: 8 });
});

test('all who ask for a device after a loss get the same, and the lost one is disposed of', async () => {
  await opened();
  const lost = await engine.device();
  lost.gpu.destroy();
  await lost.lost;
  const [a, b] = await Promise.all([engine.device(), engine.device()]);
  expect(a).toBe(b);
  expect(a).not.toBe(lost);
  expect(() => a.check()).not.toThrow();
});

test('names and formats that are none are refused before anything is made', async () => {
  const runs = new MemoryStore();
  await opened(runs);
  for (const id of ['../out', 'a/b', '', 'a\u0000'])
    await expect(engine.start({ id, files: [] }, () => undefined)).rejects.toMatchObject({ code: 'bad-argument' });
  await expect(engine.exportWeights('a', 'onnx' as never)).rejects.toMatchObject({
    code: 'bad-argument',
    message: expect.stringMatching(/format "onnx", need checkpoint, pth, encoder/),
  });
  expect(await runs.list()).toEqual([]);
});

test('prepared scans are counted and removed', async () => {
  const cache = new MemoryStore();
  engine = new Engine({
    runs: new MemoryStore(),
    cache,
    startLoader: () => ({ service: formulaLoader(), end: () => undefined }),
    lock: async () => ({ release: () => undefined }),
    holder: async () => undefined,
  });
  await cache.write('volumes/abc', new Uint8Array(70));
  await cache.write('kernels/x.json', new Uint8Array(5));
  expect(await engine.cacheBytes()).toBe(70);
  await engine.clearCache();
  expect((await cache.list()).map(({ path }) => path)).toEqual(['kernels/x.json']);
  expect(await engine.cacheBytes()).toBe(0);
});

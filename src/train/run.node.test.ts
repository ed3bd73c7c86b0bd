import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { F16 } from '../gpu/adapter.ts';
import { FIRST_LOSS_SCALE } from '../ops/loss-scale.ts';
import { MemoryStore } from '../store/memory.ts';
import type { Tuning } from '../tape/op.ts';
import { likeGpu } from '../testing/device.ts';
import { anotherDevice, formulaLoader, losable, SMALL_RUN, smallRun, troubles } from '../testing/runs.ts';
import { openCheckpoint } from './checkpoint.ts';
import { resolveConfig } from './config.ts';
import { readMetrics } from './folder.ts';
import { Trainer } from './trainer.ts';
import { chooseKernels } from './tuning.ts';
import type { RunEvent } from './types.ts';

const LAST = 'checkpoints/000008.safetensors';

/** The last checkpoint of a run that nothing disturbed. */
let expected: Uint8Array;

beforeAll(async () => {
  const store = new MemoryStore();
  const result = await smallRun({ store });
  expect(result).toMatchObject({ phase: 'finished', step: 8, checkpoint: LAST });
  expected = await store.read(LAST);
});

afterEach(() => {
  vi.restoreAllMocks();
});

describe('a run', () => {
  test('leaves a folder with everything, and tells of each step in order', async () => {
    const store = new MemoryStore();
    const { events, report, preview, verdict, baselines } = await smallRun({ store });
    const paths = (await store.list()).map(({ path }) => path);
    // The last two, and the best where that is an earlier one.
    const checkpoints = paths.filter((path) => path.startsWith('checkpoints/'));
    expect(checkpoints.slice(-2)).toEqual(['checkpoints/000006.safetensors', LAST]);
    expect(checkpoints.length).toBeLessThanOrEqual(3);
    expect(paths.slice(checkpoints.length)).toEqual([
      'config.json',
      expect.stringMatching(/^events\.out\.tfevents\.\d+\.hyspark$/),
      'metrics.jsonl',
      'previews/000004.png',
      'previews/000008.png',
      'report.html',
      'status.json',
    ]);
    expect([report, preview]).toEqual(['report.html', 'previews/000008.png']);
    const steps = events.flatMap((event) => (event.type === 'progress' ? [event.progress.step] : []));
    expect(steps).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(picturedSteps(events)).toEqual([0, 4, 8]); // the first shows what the weights at the start make of the crop
    const rows = await readMetrics(store);
    expect(rows.filter(({ kind }) => kind === 'step')).toHaveLength(8);
    expect(rows.filter(({ kind }) => kind === 'evaluation').map((row) => 'step' in row && row.step)).toEqual([
      2, 4, 6, 8,
    ]);
    // Textures without air: the patch mean scores (n − 1) / n, and the fill is no worse.
    expect(baselines!.patchMean).toBeCloseTo(1, 2);
    expect(baselines!.smoothFill).toBeLessThanOrEqual(baselines!.patchMean);
    expect(verdict.sentence).toMatch(/held-out loss of/);
    const html = new TextDecoder().decode(await store.read('report.html'));
    expect(html).toContain('data:image/png;base64');
    expect(html).toContain('scan-c');
    expect(html).not.toMatch(/https?:|<script/);
  });

  test('stopped and resumed ends with the same bits', async () => {
    const store = new MemoryStore();
    const onEvent = (event: { type: string; progress?: { step: number } }, run: { stop(): void }) => {
      if (event.type === 'progress' && event.progress!.step === 3) run.stop();
    };
    const stopped = await smallRun({ store, onEvent: onEvent as never });
    expect(stopped.phase).toBe('stopped');
    expect(stopped.step).toBeGreaterThanOrEqual(3);
    expect(stopped.step).toBeLessThan(8);
    const resumed = await smallRun({ store, resume: true });
    expect(resumed).toMatchObject({ phase: 'finished', step: 8 });
    expect(picturedSteps(resumed.events)[0]).toBe(stopped.step);
    expect(fingerprint(await store.read(LAST))).toEqual(fingerprint(expected));
  });

  test('in mixed precision, stopped and resumed ends with the same bits and loss scale', async () => {
    const options = { ...SMALL_RUN, precision: 'mixed' } as const;
    const device = await anotherDevice();
    const setup = { options, device: async () => device };
    if (!device.report.features.includes(F16)) {
      await expect(smallRun({ ...setup, store: new MemoryStore() })).rejects.toMatchObject({ code: 'unsupported' });
      return;
    }
    const whole = new MemoryStore();
    expect(await smallRun({ ...setup, store: whole })).toMatchObject({ phase: 'finished', step: 8 });
    const store = new MemoryStore();
    const onEvent = (event: { type: string; progress?: { step: number } }, run: { stop(): void }) => {
      if (event.type === 'progress' && event.progress!.step === 3) run.stop();
    };
    expect(await smallRun({ ...setup, store, onEvent: onEvent as never })).toMatchObject({ phase: 'stopped' });
    expect(await smallRun({ ...setup, store, resume: true })).toMatchObject({ phase: 'finished', step: 8 });
    const last = await store.read(LAST);
    expect(fingerprint(last)).toEqual(fingerprint(await whole.read(LAST)));
    const { run } = await openCheckpoint(new Blob([last as Uint8Array<ArrayBuffer>]));
    expect(run.lossScale).toEqual([FIRST_LOSS_SCALE, 8]);
    device.dispose();
  });

  test('paused holds still, and goes on', async () => {
    const store = new MemoryStore();
    let paused = 0;
    const result = await smallRun({
      store,
      onEvent: (event, run) => {
        if (event.type === 'progress' && event.progress.step === 3) run.pause();
        if (event.type === 'state' && event.phase === 'paused') {
          paused++;
          void run.preview(1).then((preview) => {
            expect(preview).toMatchObject({ index: 1, count: 2, heldOut: true, scan: 'scan-c' });
            run.resume();
          });
        }
      },
    });
    expect([paused, result.phase]).toEqual([1, 'finished']);
    expect(fingerprint(await store.read(LAST))).toEqual(fingerprint(expected));
  });

  test('accumulates: two passes of one crop give the loss of their mean', async () => {
    const store = new MemoryStore();
    const options = { ...SMALL_RUN, accumulate: 2, steps: 2, checkpointEvery: 1 };
    const whole = await smallRun({ store, options });
    expect(whole).toMatchObject({ phase: 'finished', step: 2 });
    const again = new MemoryStore();
    const once = (event: { type: string }, run: { stop(): void }) => event.type === 'checkpoint' && run.stop();
    await smallRun({ store: again, options, onEvent: once as never });
    await smallRun({ store: again, resume: true });
    const path = 'checkpoints/000002.safetensors';
    expect(fingerprint(await again.read(path))).toEqual(fingerprint(await store.read(path)));
  });

  test('starts from the weights of another', async () => {
    const weights = new Blob([expected as Uint8Array<ArrayBuffer>]);
    const first = await smallRun({ store: new MemoryStore(), weights });
    const plain = await smallRun({ store: new MemoryStore() });
    expect(first.events.some((e) => e.type === 'log' && /Started from the weights/.test(e.line.text))).toBe(true);
    expect(first.loss).not.toBe(plain.loss);
  });
});

describe('on a GPU, a run', () => {
  test('keeps the kernels that it was started with', async () => {
    const software = await anotherDevice();
    const device = async () => likeGpu(software);
    // The tiles take minutes here: what is recorded is for the adapter as it is, and what would have been is noted.
    const given: (Tuning | undefined)[] = [];
    const create = Trainer.create;
    vi.spyOn(Trainer, 'create').mockImplementation((_, config, tuning) => {
      given.push(tuning);
      return create.call(Trainer, software, config);
    });
    const options = { ...SMALL_RUN, steps: 2, checkpointEvery: 1 };
    const tuningCache = new MemoryStore();
    const usual = (await chooseKernels(await device(), resolveConfig(options), tuningCache, undefined, {
      milliseconds: 0,
    }))!;
    // Somebody measured: the first product has another kernel now.
    const [file] = await tuningCache.list();
    const [key] = Object.keys(usual) as [string];
    const cached = text(await tuningCache.read(file!.path)).replace(usual[key]!, 'the quickest');
    await tuningCache.write(file!.path, new TextEncoder().encode(cached));
    const tuned = { ...usual, [key]: 'the quickest' };

    const store = new MemoryStore();
    const once = (event: { type: string }, run: { stop(): void }) => event.type === 'checkpoint' && run.stop();
    const stopped = await smallRun({ store, options, device, tuningCache, onEvent: once as never });
    expect(JSON.parse(text(await store.read('config.json'))).tuning).toEqual(tuned);
    const details = stopped.events.flatMap((event) => (event.type === 'state' && event.detail ? [event.detail] : []));
    expect(details).not.toContain('Choosing kernels'); // nothing was left to measure
    // Resumed with an empty cache: whoever asked it would measure.
    const empty = new MemoryStore();
    const resumed = await smallRun({ store, resume: true, device, tuningCache: empty });
    expect([resumed.phase, await empty.list()]).toEqual(['finished', []]);
    expect(given).toEqual([tuned, tuned]);
    // Without a cache nothing is measured or kept.
    await smallRun({ store: new MemoryStore(), options, device });
    expect(given.at(-1)).toBeUndefined();
  });
});

describe('when something goes wrong', () => {
  test('a NaN stops the run and names the step, the crop and the last good checkpoint', async () => {
    const store = new MemoryStore();
    const loader = formulaLoader((voxels, index) => {
      if (index === 4) voxels[7] = Number.NaN;
    });
    const result = await smallRun({ store, loader });
    expect(result).toMatchObject({ phase: 'failed', step: 4, error: { code: 'not-finite', doing: 'Training step 5' } });
    expect(result.error!.got).toContain('scan-b at 0 0 4');
    expect(result.error!.advice).toContain('checkpoints/000004.safetensors');
    expect((await store.list('checkpoints/')).at(-1)!.path).toBe('checkpoints/000004.safetensors');
    expect(new TextDecoder().decode(await store.read('report.html'))).toContain('Training step 5');
  });

  test('a loader that fails keeps the steps until then; resumed, the run ends with the same bits', async () => {
    const store = new MemoryStore();
    const failing = formulaLoader((_, index) => {
      if (index === 5) throw new Error('the disk with the scans is gone');
    });
    const result = await smallRun({ store, loader: failing });
    expect(result).toMatchObject({ phase: 'failed', step: 5, checkpoint: 'checkpoints/000005.safetensors' });
    expect(result.error!.got).toContain('the disk with the scans is gone');
    await smallRun({ store, resume: true });
    expect(fingerprint(await store.read(LAST))).toEqual(fingerprint(expected));
  });

  test('a full disk is said in a sentence; the run goes on and keeps the newest checkpoint that fits', async () => {
    const room = expected.length * 2.5;
    const store = new MemoryStore(room);
    const result = await smallRun({ store });
    expect(result).toMatchObject({ phase: 'finished', step: 8 });
    expect(
      troubles(result.events).some((text) => /No space left: the checkpoint of step \d was removed/.test(text)),
    ).toBe(true);
    expect(fingerprint(await store.read(LAST))).toEqual(fingerprint(expected));
  });

  test('a disk without room for any checkpoint does not stop the run', async () => {
    const store = new MemoryStore(20_000);
    const result = await smallRun({ store });
    expect(result).toMatchObject({ phase: 'finished', step: 8, checkpoint: undefined });
    expect(troubles(result.events).join('\n')).toMatch(
      /The checkpoint of step 2 could not be kept\. .*no space left.* The run goes on\./,
    );
  });

  test('an unreadable checkpoint makes way for the one before', async () => {
    const store = new MemoryStore();
    await smallRun({ store });
    await store.write(LAST, (await store.read(LAST)).slice(0, 5000));
    const result = await smallRun({ store, resume: true });
    expect(troubles(result.events).join()).toMatch(/000008\.safetensors.*It is passed over/);
    expect(result.events.some((e) => e.type === 'log' && e.line.text === 'Continuing from step 6.')).toBe(true);
    expect(fingerprint(await store.read(LAST))).toEqual(fingerprint(expected));
  });

  test('a lost device is replaced, and the run ends with the same bits', async () => {
    const store = new MemoryStore();
    const { device, lose, opened } = losable();
    let once = true;
    const result = await smallRun({
      store,
      device,
      onEvent: (event) => {
        if (event.type !== 'progress' || event.progress.step !== 5 || !once) return;
        once = false;
        lose();
      },
    });
    expect([opened(), result.phase]).toEqual([2, 'finished']);
    expect(troubles(result.events).join()).toMatch(/The GPU was lost after step 5; the run goes on from step 4/);
    expect(fingerprint(await store.read(LAST))).toEqual(fingerprint(expected));
  });

  /** A run whose device is lost after a step, so many times after each. */
  async function losing(store: MemoryStore, times: Record<number, number>) {
    const { device, lose } = losable();
    return smallRun({
      store,
      device,
      onEvent: (event) => {
        if (event.type !== 'progress') return;
        const { step } = event.progress;
        if (!times[step]) return;
        times[step]--;
        lose();
      },
    });
  }

  test('a device may be lost again when there is a new checkpoint', async () => {
    const result = await losing(new MemoryStore(), { 3: 3, 5: 1 });
    expect(result).toMatchObject({ phase: 'finished', error: undefined });
  });

  test('a device that is lost again and again ends the run with its checkpoint kept', async () => {
    const store = new MemoryStore();
    const result = await losing(store, { 3: Number.POSITIVE_INFINITY });
    const error = { code: 'device-lost', got: 'one that was lost 4 times without a new checkpoint' };
    expect(result).toMatchObject({ phase: 'failed', error });
    expect(await store.size('checkpoints/000002.safetensors')).toBeGreaterThan(0);
  });
});

const picturedSteps = (events: readonly RunEvent[]) =>
  events.flatMap((event) => (event.type === 'preview' ? [event.preview.step] : []));

function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

/** A short text for long bytes: comparing them element by element would take seconds. */
function fingerprint(bytes: Uint8Array): string {
  let [a, b] = [0, 0];
  for (const byte of bytes) {
    a = (Math.imul(a, 31) + byte) | 0;
    b = (b ^ Math.imul(byte + a, 0x9e3779b1)) | 0;
  }
  return `${bytes.length} bytes ${a} ${b}`;
}

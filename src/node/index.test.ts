/** The npm module in Node, from scans on disk to weights. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { asStateDict, readPth } from '../formats/pth.ts';
import { SMALL } from '../testing/hyspark.ts';
import { writeSamples } from './commands/sample.ts';
import { createEngine, pretrain, type RunEvent, resume } from './index.ts';

const folder = mkdtempSync(join(tmpdir(), 'api-'));
const [scans, runs, cache] = ['scans', 'runs', 'cache'].map((name) => join(folder, name)) as [string, string, string];
const places = { runs, cache, adapter: process.env.HYSPARK_ADAPTER || undefined };
const options = { model: SMALL, batch: 1, steps: 2, evaluationCrops: 1, evaluateEvery: 1, cropsPerScan: 2 };

beforeAll(() => writeSamples(scans, 2, 1, false));
afterAll(() => rmSync(folder, { recursive: true }));

test('pretrain: events, result, weights in each format, listing, the run folder', async () => {
  const events: RunEvent[] = [];
  const run = await pretrain([scans], { ...options, id: 'first' }, { ...places, onEvent: (e) => events.push(e) });
  const result = await run.finished;
  expect(result).toMatchObject({ id: 'first', phase: 'finished', step: 2, steps: 2 });
  const types = new Set(events.map(({ type }) => type));
  for (const type of ['state', 'collection', 'plan', 'baselines', 'progress', 'evaluation', 'preview', 'checkpoint']) {
    expect(types).toContain(type);
  }
  const encoder = await run.export('encoder');
  const state = asStateDict(readPth(new Uint8Array(await encoder.arrayBuffer())));
  expect([...state.keys()].some((key) => key.startsWith('embeddings.'))).toBe(true);
  const full = readPth(new Uint8Array(await (await run.export('pth')).arrayBuffer())) as Map<string, unknown>;
  expect(full.get('is_pretrain')).toBe(true);
  expect((await run.export('checkpoint', 'latest')).size).toBeGreaterThan(encoder.size);
  expect(await (await run.file('report.html')).text()).toContain('finished');
  await run.dispose();

  const engine = createEngine({ runs, cache });
  const [listing] = await engine.listRuns();
  expect(listing).toMatchObject({ id: 'first', phase: 'finished', step: 2 });
  await engine.deleteRun('first');
  expect(await engine.listRuns()).toEqual([]);
  await engine.dispose();
});

test('an aborted signal stops after the step; resuming needs the same scans', async () => {
  const control = new AbortController();
  const run = await pretrain(
    [scans],
    { ...options, steps: 40, id: 'second' },
    { ...places, signal: control.signal, onEvent: (e) => e.type === 'progress' && control.abort() },
  );
  const { phase, step } = await run.finished;
  expect(phase).toBe('stopped');
  expect(step).toBeLessThan(40);
  await run.dispose();
  const others = join(folder, 'others');
  await writeSamples(others, 2, 2, false);
  await expect(resume('second', [others], places)).rejects.toThrow(/other scans: 2 missing .*, 2 new/);
  await expect(resume('third', [scans], places)).rejects.toThrow(/need a folder that a run was written to/);
});

test('wrong options are sentences, and leave nothing behind', async () => {
  await expect(pretrain([scans], { ...options, batch: 0, id: 'wrong' }, places)).rejects.toThrow(
    'Option "batch": got 0, need a whole number from 1.',
  );
  await expect(pretrain(['no/such/folder'], options, places)).rejects.toThrow('which cannot be read');
  const engine = createEngine({ runs, cache });
  expect((await engine.listRuns()).map(({ id }) => id)).toEqual(['second']);
  await engine.open(places);
  const plan = await engine.plan({ preset: 'base' });
  expect(plan.bytes.peak).toBeGreaterThan(plan.bytes.variables);
  expect(plan.recomputePeak).toBeLessThan(plan.bytes.peak);
  await engine.dispose();
});

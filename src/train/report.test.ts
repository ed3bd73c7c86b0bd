import { expect, test } from 'vitest';
import { MemoryStore } from '../store/memory.ts';
import { resolveConfig } from './config.ts';
import { RunFolder } from './folder.ts';
import { writeReport } from './report.ts';

test('the report of a long run is drawn, and stays small', async () => {
  const store = new MemoryStore();
  const head = {
    created: 0,
    engine: '0',
    config: resolveConfig({}),
    plan: { bytes: { peak: 1 }, parameters: 1 },
    collection: { training: ['a'], heldOut: ['b'] },
  };
  const folder = await RunFolder.create(store, head as never, () => undefined);
  const steps = 200_000;
  for (let step = 1; step <= steps; step++) {
    const rest = { gradientNorm: 1, learningRate: step / steps, epoch: 0, cropsPerSecond: 1, waitedShare: 0 };
    folder.rows.push({ kind: 'step', step, loss: 1 / step, ...rest });
  }
  folder.rows.push({ kind: 'evaluation', step: 2, loss: 0.9, perCrop: [0.9] });
  folder.rows.push({ kind: 'evaluation', step: 4, loss: Number.NaN, perCrop: [Number.NaN] });
  const baselines = { patchMean: 1, smoothFill: Number.NaN };
  const verdict = { kind: 'unknown', trend: 'unknown', sentence: 'None.' } as const;
  const result = { id: 'long', phase: 'finished', step: steps, steps, verdict, baselines } as const;
  expect(await writeReport(folder, result, 'an adapter')).toBe('report.html');
  const html = new TextDecoder().decode(await store.read('report.html'));
  expect(html).toContain('200000 of 200000');
  expect(html.length).toBeLessThan(100_000);
  expect(html).not.toMatch(/["\s,]NaN["\s,]/); // neither a point of a line nor a level
});

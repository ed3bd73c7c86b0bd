/** Runs as an engine lists them that does not train them. */

import { expect, test } from 'vitest';
import { MemoryStore } from '../store/memory.ts';
import type { RunPhase } from '../train/types.ts';
import { Engine } from './engine.ts';

async function engineWith(phases: Record<string, RunPhase | undefined>, held: ReadonlySet<string>) {
  const runs = new MemoryStore();
  const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
  for (const [id, phase] of Object.entries(phases)) {
    await runs.write(
      `${id}/config.json`,
      json({
        format: 1,
        created: 0,
        adapter: 'none',
        config: { model: {} },
        collection: { training: [], heldOut: [] },
      }),
    );
    if (phase) await runs.write(`${id}/status.json`, json({ phase, step: 3, adapter: 'none', verdict: '' }));
  }
  const startLoader = () => {
    throw new Error('Nothing is trained here.');
  };
  return new Engine({
    runs,
    cache: new MemoryStore(),
    startLoader,
    lock: async (id) => (held.has(id) ? { holder: 'another tab' } : { release: () => undefined }),
    holder: async (id) => (held.has(id) ? 'another tab' : undefined),
  });
}

test('a run under way elsewhere is told from one whose process died', async () => {
  const phases = {
    dead: 'training',
    live: 'training',
    fresh: undefined,
    resumed: 'stopped',
    done: 'finished',
  } as const;
  const engine = await engineWith(phases, new Set(['live', 'fresh', 'resumed']));
  const listed = Object.fromEntries((await engine.listRuns()).map(({ id, phase }) => [id, phase]));
  expect(listed).toEqual({
    dead: 'interrupted',
    live: 'training',
    fresh: 'preparing', // has written nothing yet
    resumed: 'preparing', // its status is from before
    done: 'finished',
  });
});

test('a run under way elsewhere is not deleted', async () => {
  const engine = await engineWith({ dead: 'training', live: 'training' }, new Set(['live']));
  await expect(engine.deleteRun('live')).rejects.toThrow('a run that another tab is writing. Stop it there');
  await engine.deleteRun('dead');
  expect((await engine.listRuns()).map(({ id }) => id)).toEqual(['live']);
});

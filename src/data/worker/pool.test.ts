import { describe, expect, test } from 'vitest';
import { createDataPool } from '../../node/data-pool.ts';
import { fileOf, phantomFile } from '../../testing/data.ts';
import { DEFAULT_PREPARE } from '../prepare.ts';
import type { ScanSource } from '../source.ts';
import { DataPool } from './pool.ts';
import type { DataWorker } from './protocol.ts';

const source: ScanSource = { kind: 'NIfTI', path: 'x.nii', files: [] };
const options = { ...DEFAULT_PREPARE, spacing: 6, least: 32 };

/** A worker that answers after a turn, or dies at the path "die". */
function fakeWorker(log: string[], running: { now: number; most: number }): DataWorker {
  let die: (reason: string) => void = () => undefined;
  const died = new Promise<string>((resolve) => {
    die = resolve;
  });
  log.push('start');
  return {
    died,
    close: () => log.push('close'),
    service: {
      audit: async ({ path }) => ({ usable: false, hash: '', reason: path }),
      async prepare({ path }) {
        running.most = Math.max(running.most, ++running.now);
        if (path === 'die') {
          running.now--;
          die('out of memory');
          return new Promise(() => undefined);
        }
        await new Promise((resolve) => setTimeout(resolve, 1));
        running.now--;
        return { usable: false, reason: path };
      },
    },
  };
}

describe('data pool', () => {
  test('runs so many calls at once, and answers each', async () => {
    const log: string[] = [];
    const running = { now: 0, most: 0 };
    const pool = new DataPool(() => fakeWorker(log, running), 3);
    const names = Array.from({ length: 20 }, (_, i) => `scan ${i}`);
    const results = await Promise.all(names.map((path) => pool.prepare({ ...source, path }, options)));
    expect(results).toEqual(names.map((reason) => ({ usable: false, reason })));
    expect(running.most).toBe(3);
    expect(log).toEqual(['start', 'start', 'start']);
    pool.close();
    expect(log.slice(3)).toEqual(['close', 'close', 'close']);
  });

  test('a worker that dies costs its scan only', async () => {
    const log: string[] = [];
    const pool = new DataPool(() => fakeWorker(log, { now: 0, most: 0 }), 1);
    const paths = ['a', 'die', 'b', 'die', 'c'];
    const results = await Promise.all(paths.map((path) => pool.prepare({ ...source, path }, options)));
    expect(results.map((r) => (r.usable ? '' : r.reason))).toEqual([
      'a',
      'Reading stopped: out of memory. The scan may be too large for the memory.',
      'b',
      'Reading stopped: out of memory. The scan may be too large for the memory.',
      'c',
    ]);
    expect(log.filter((line) => line === 'start').length).toBe(3);
  });

  test('closing answers the calls that wait too, and starts nothing more', async () => {
    const log: string[] = [];
    const pool = new DataPool(() => fakeWorker(log, { now: 0, most: 0 }), 2);
    const calls = ['a', 'b', 'c', 'd'].map((path) => pool.prepare({ ...source, path }, options));
    await Promise.resolve(); // they have their workers
    pool.close();
    const closed = { usable: false, reason: 'Reading stopped: the data workers were closed.' };
    expect(await Promise.all([...calls, pool.prepare(source, options)])).toEqual(new Array(5).fill(closed));
    expect(log).toEqual(['start', 'start', 'close', 'close']);
  });

  test('threads read scans, set bad ones aside, and end when the pool is closed', async () => {
    const pool = createDataPool(2);
    const good: ScanSource = { ...source, files: [fileOf('x.nii', phantomFile(1))] };
    const bad: ScanSource = { ...source, files: [fileOf('y.nii', new Uint8Array(500))] };
    const [a, b, audit] = await Promise.all([
      pool.prepare(good, options),
      pool.prepare(bad, options),
      pool.audit(good),
    ]);
    expect(a.usable && a.volume.voxels.length).toBeGreaterThan(32 ** 3 - 1);
    expect(b).toEqual({ usable: false, reason: expect.stringContaining('No NIfTI header') });
    expect(audit.usable && audit.audit.orientation).toBe('LPS');
    // What was named is what must be prepared.
    const changed = await pool.prepare(good, options, '0123456789abcdef');
    expect(changed).toEqual({ usable: false, reason: 'The file was changed after it was added.' });
    pool.close();
  });
});

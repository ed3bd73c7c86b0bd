/** A benchmark in a process for each adapter, since a process can load one driver. */

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Runs `script` for each adapter with `--child FILE --adapter NAME` and `options`; returns what each left in its file. */
export function onAdapters<T>(script: string, adapters: readonly string[], options: readonly string[]): T[] {
  const folder = mkdtempSync(join(tmpdir(), 'hyspark-bench-'));
  return adapters.map((adapter) => {
    const file = join(folder, `${adapter}.json`);
    const own = [...process.execArgv, fileURLToPath(script), '--child', file, '--adapter', adapter];
    const child = spawnSync(process.execPath, [...own, ...options], { stdio: ['ignore', 'inherit', 'inherit'] });
    if (child.status !== 0) process.exit(child.status ?? 1);
    return JSON.parse(readFileSync(file, 'utf8')) as T;
  });
}

/** Ends a child: leaves its result for the parent. */
export function leave(file: string, result: unknown): never {
  writeFileSync(file, JSON.stringify(result));
  process.exit(0); // Dawn keeps the event loop alive
}

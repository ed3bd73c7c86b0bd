/**
 * Runs a benchmark in a process for each adapter, since a process can load one driver. Options that every benchmark has:
 * `[--adapter NAME]… [--repeats N] [--json FILE]`, then flags of its own.
 */

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type Device, openDevice } from '../gpu/device.ts';

export interface Measured<T> {
  readonly adapter: string;
  readonly class: string;
  readonly rows: readonly T[];
}

export interface BenchOptions {
  readonly repeats: number;
  readonly flags: ReadonlySet<string>;
}

/**
 * @param script `import.meta.url` of the benchmark: started again for each adapter, lavapipe and SwiftShader unless told of others.
 * @param measure runs in those processes.
 * @returns what each measured, after writing it as JSON where asked; in a started process never.
 */
export async function onAdapters<T>(
  script: string,
  measure: (device: Device, options: BenchOptions) => Promise<readonly T[]>,
  flags: readonly string[] = [],
): Promise<readonly Measured<T>[]> {
  const { values } = parseArgs({
    options: {
      adapter: { type: 'string', multiple: true },
      repeats: { type: 'string', default: '9' },
      json: { type: 'string' },
      child: { type: 'string' },
      ...Object.fromEntries(flags.map((flag) => [flag, { type: 'boolean' as const }])),
    },
  });
  const { adapter: adapters = ['lavapipe', 'swiftshader'], repeats, json, child } = values;
  const given = flags.filter((flag) => (values as Record<string, unknown>)[flag]);
  if (child) {
    const device = await openDevice({ adapter: adapters[0] });
    const rows = await measure(device, { repeats: Number(repeats), flags: new Set(given) });
    const result: Measured<T> = { adapter: device.report.name, class: device.report.class, rows };
    writeFileSync(child, JSON.stringify(result));
    process.exit(0); // Dawn keeps the event loop alive
  }
  const folder = mkdtempSync(join(tmpdir(), 'hyspark-bench-'));
  const results = adapters.map((adapter): Measured<T> => {
    const file = join(folder, `${adapter}.json`);
    const own = ['--child', file, '--adapter', adapter, '--repeats', repeats, ...given.map((flag) => `--${flag}`)];
    const arguments_ = [...process.execArgv, fileURLToPath(script), ...own];
    const { status } = spawnSync(process.execPath, arguments_, { stdio: ['ignore', 'inherit', 'inherit'] });
    if (status !== 0) process.exit(status ?? 1);
    return JSON.parse(readFileSync(file, 'utf8')) as Measured<T>;
  });
  if (json) writeFileSync(json, `${JSON.stringify(results, null, 1)}\n`);
  return results;
}

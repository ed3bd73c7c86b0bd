/**
 * Runs a benchmark in a process for each adapter, since a process can load one driver. Every benchmark has the options
 * `[--adapter NAME]… [--repeats N] [--json FILE]` and `--help`, then flags of its own.
 */

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command, Option } from 'commander';
import { type Device, openDevice } from '../gpu/device.ts';

export interface Measured<T> {
  readonly adapter: string;
  readonly class: string;
  readonly rows: readonly T[];
}

interface Options {
  readonly adapter: readonly string[];
  readonly repeats: string;
  readonly json?: string;
  readonly child?: string;
  readonly [flag: string]: unknown;
}

export interface BenchOptions {
  readonly repeats: number;
  readonly flags: ReadonlySet<string>;
}

/**
 * @param script `import.meta.url` of the benchmark: started again for each adapter, lavapipe and SwiftShader unless told of others.
 * @param measure runs in those processes.
 * @param flags of this benchmark, with what each does.
 * @returns what each measured, after writing it as JSON where asked; in a started process never.
 */
export async function onAdapters<T>(
  script: string,
  measure: (device: Device, options: BenchOptions) => Promise<readonly T[]>,
  flags: Readonly<Record<string, string>> = {},
): Promise<readonly Measured<T>[]> {
  const command = new Command(basename(script, '.ts'))
    .option('--adapter <name...>', 'lavapipe, swiftshader', ['lavapipe', 'swiftshader'])
    .option('--repeats <n>', 'measurements of each case', '9')
    .option('--json <file>', 'write the results there too')
    .addOption(new Option('--child <file>').hideHelp());
  for (const [flag, does] of Object.entries(flags)) command.option(`--${flag}`, does);
  const { adapter: adapters, repeats, json, child, ...rest } = command.parse().opts<Options>();
  const given = Object.keys(flags).filter((flag) => rest[flag]);
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

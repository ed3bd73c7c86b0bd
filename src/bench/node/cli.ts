/** `npm run bench`: benchmarks in Node's Dawn, or their pages in headless Chromium; one table each, and a comparison with earlier results. */

import { fork } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Command, Option } from 'commander';
import { HysparkError } from '../../errors.ts';
import { NAMED_ADAPTERS } from '../../gpu/dawn.ts';
import type { BenchMessage, Benchmark, BenchReport, Progress } from '../benchmark.ts';
import { BENCHMARKS } from '../benchmarks.ts';
import { compareReports } from '../compare.ts';
import { reportText, tableText } from '../format.ts';
import { benchmarksMarkdown } from './markdown.ts';
import { NODE_BENCHMARKS } from './node-benchmarks.ts';
import { parametersText, settingsOf } from './settings.ts';

interface Options {
  readonly browser: 'node' | 'chromium';
  readonly adapter?: string;
  readonly set: readonly string[];
  readonly json?: string;
  readonly compare?: string;
  readonly write?: readonly string[];
}

/** Runs one benchmark with the parameters given. */
export type Runner = (
  benchmark: Benchmark,
  given: Readonly<Record<string, string>>,
  progress: (progress: Progress) => void,
) => Promise<BenchReport>;

const command = new Command('npm run bench --')
  .argument(
    '[page...]',
    `which: ${NODE_BENCHMARKS.map(({ name }) => name).join(', ')} (disk in Node only; without, all pages)`,
  )
  .addOption(
    new Option('--browser <name>', "in Node's Dawn, which needs no build, or in headless Chromium")
      .choices(['node', 'chromium'])
      .default('node'),
  )
  .option(
    '--adapter <name>',
    `in Node: ${NAMED_ADAPTERS.join(', ')}, or the system's first; in Chromium: swiftshader, which is the default, or gpu`,
  )
  .option('--set <key=value...>', 'parameters, for the pages that have them', [])
  .option('--json <file>', 'write the results there')
  .option('--compare <file>', 'show ratios to the results in that file')
  .option('--write <file...>', 'run nothing: write BENCHMARKS.md from these files of results')
  .addHelpText('after', () => `\nParameters:\n${NODE_BENCHMARKS.map(parametersText).join('\n')}`);

try {
  const options = command.parse().opts<Options>();
  if (options.write) writeFileSync('BENCHMARKS.md', benchmarksMarkdown(options.write.map(readReports)));
  else process.exitCode = await main(command.args, options);
} catch (error) {
  console.error(error instanceof HysparkError ? error.message : error);
  process.exitCode = 1;
}

async function main(names: readonly string[], options: Options): Promise<number> {
  const { browser, adapter, json } = options;
  const known = browser === 'node' ? NODE_BENCHMARKS : BENCHMARKS;
  const chosen = (names.length > 0 ? names : BENCHMARKS.map(({ name }) => name)).map((name) => {
    const found = known.find((benchmark) => benchmark.name === name);
    if (found) return found;
    throw new HysparkError('bad-argument', {
      doing: `Benchmarks in ${browser}`,
      got: `"${name}"`,
      need: known.map((each) => each.name).join(', '),
    });
  });
  const settings = settingsOf(chosen, options.set);
  const before = options.compare === undefined ? undefined : readReports(options.compare); // before an hour is spent
  const reports: BenchReport[] = [];
  let failed = 0;
  // Vite and Playwright are for browsers only: Node's benchmarks run, and start, without them.
  const pages = browser === 'chromium' ? await (await import('./chromium.ts')).openPages(adapter) : undefined;
  const run: Runner = pages?.run ?? ((...each) => runInChild(adapter, ...each));
  try {
    for (const benchmark of chosen) {
      try {
        const report = await run(benchmark, settings.get(benchmark)!, showProgress(benchmark.name));
        reports.push(report);
        if (json) writeFileSync(json, `${JSON.stringify(reports, null, 1)}\n`); // each is kept, whatever comes after
        print(benchmark, report);
      } catch (error) {
        failed++;
        console.error(`\n${benchmark.name} failed: ${error instanceof Error ? error.message : error}`);
      }
    }
  } finally {
    await pages?.close();
  }
  if (before) {
    const { table, warnings } = compareReports(before, reports);
    console.log(`\nNow beside ${options.compare}\n\n${tableText(table)}`);
    for (const warning of warnings) console.log(`! ${warning}`);
  }
  return failed > 0 ? 1 : 0;
}

function runInChild(
  adapter: string | undefined,
  benchmark: Benchmark,
  given: Readonly<Record<string, string>>,
  progress: (progress: Progress) => void,
): Promise<BenchReport> {
  const file = fileURLToPath(new URL('./child.ts', import.meta.url));
  const child = fork(file, [benchmark.name, JSON.stringify(given), adapter ?? '']);
  return new Promise((resolve, reject) => {
    child.on('message', (message: BenchMessage) => {
      if ('progress' in message) progress(message.progress);
      else if ('report' in message) resolve(message.report);
      else reject(new Error(message.error));
    });
    child.once('exit', (status, signal) => reject(new Error(`its process ended (${signal ?? status})`)));
  });
}

/** One line that is written over, on a terminal; nothing elsewhere. */
function showProgress(name: string): (progress: Progress) => void {
  if (!process.stderr.isTTY) return () => {};
  return ({ share, doing }) => {
    process.stderr.write(`\r\x1b[K${name} ${Math.round(100 * share)} % ${doing}`);
  };
}

function print({ title }: Benchmark, report: BenchReport): void {
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
  console.log(`\n${reportText(title, report)}`);
}

function readReports(file: string): BenchReport[] {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as BenchReport[];
  } catch (cause) {
    const got = cause instanceof Error ? cause.message : String(cause);
    throw new HysparkError('bad-file', { doing: `Reading results from ${file}`, got, cause });
  }
}

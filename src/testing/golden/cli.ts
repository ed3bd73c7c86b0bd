/**
 * `npm run golden -- [DIR] [SET…] [--adapter NAME] [--savings on|off] [--json]`: compares the engine with golden data and prints a row
 * for each set and group; the model's exact shortcuts are all taken, or none, or those that pay. Exit status 1 when a row fails or a
 * set cannot be read.
 */

import { existsSync, statSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { type Device, openDevice } from '../../gpu/device.ts';
import { allSavings } from '../../models/hyspark/hyspark.ts';
import { goldenFolder } from './folder.ts';
import { type Row, table } from './report.ts';
import { type ComparePreprocess, runGoldenSet } from './run.ts';

const DEFAULT_FOLDER = '../shared/golden';

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { adapter: { type: 'string' }, savings: { type: 'string' }, json: { type: 'boolean', default: false } },
  });
  const isFolder = positionals[0] !== undefined && existsSync(positionals[0]) && statSync(positionals[0]).isDirectory();
  const [path, names] = isFolder ? [positionals[0]!, positionals.slice(1)] : [DEFAULT_FOLDER, positionals];
  if (!existsSync(path)) throw new Error(`no folder ${path}: give the folder of golden data`);
  const folder = goldenFolder(path);
  const unknown = names.filter((name) => !folder.sets.includes(name));
  if (unknown.length > 0) throw new Error(`no set ${unknown.join(', ')} in ${path}; it has ${folder.sets.join(', ')}`);
  let opened: Promise<Device> | undefined;
  const device = () => {
    opened ??= openDevice({ adapter: values.adapter ?? (process.env.HYSPARK_ADAPTER || undefined) });
    return opened;
  };
  if (values.savings !== undefined && !['on', 'off'].includes(values.savings)) {
    throw new Error(`--savings ${values.savings}: give on or off`);
  }
  const savings = values.savings === undefined ? undefined : allSavings(values.savings === 'on');
  const preprocess = await preprocessComparison(path);
  const rows: Row[] = [];
  let broken = 0;
  for (const set of names.length > 0 ? names : folder.sets) {
    const start = performance.now();
    try {
      const found = await runGoldenSet(folder, set, { device, preprocess, savings });
      rows.push(...found);
      const seconds = ((performance.now() - start) / 1000).toFixed(1);
      if (!values.json) console.log(`${table(found)}\n(${set}: ${seconds} s)\n`);
    } catch (error) {
      broken++;
      console.error(`${set}: ${error instanceof Error ? error.message : error}`);
    }
  }
  const count = (status: Row['status']) => rows.filter((row) => row.status === status).length;
  const report = opened && (await opened).report;
  if (values.json) console.log(JSON.stringify({ adapter: report, rows }, undefined, 1));
  else {
    const left = `${count('not computed')} not computed, ${count('not yet')} not yet`;
    console.log(`${count('pass')} pass, ${count('fail')} fail, ${left}; adapter: ${report?.name ?? 'none needed'}`);
  }
  return count('fail') + broken > 0 ? 1 : 0;
}

/** The loading chain has its own comparison; while that file is missing its sets are listed as "not yet". */
async function preprocessComparison(path: string): Promise<ComparePreprocess | undefined> {
  const file = new URL('../golden-preprocess.ts', import.meta.url);
  if (!existsSync(file)) return undefined;
  const { comparePreprocess } = (await import(file.href)) as {
    comparePreprocess(path: string, set: string): Promise<readonly (Omit<Row, 'status' | 'at'> & { pass: boolean })[]>;
  };
  return async (set) =>
    (await comparePreprocess(path, set)).map((row) => ({
      ...row,
      at: '',
      status: row.pass && row.compared > 0 ? 'pass' : 'fail',
    }));
}

main().then(
  (status) => process.exit(status), // Dawn's threads would keep the process alive
  (error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    process.exit(2);
  },
);

/** Ctrl-C on the command line, as a signal to the process. */

import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { SMALL } from '../testing/hyspark.ts';
import { writeSamples } from './commands/sample.ts';

const folder = mkdtempSync(join(tmpdir(), 'interrupt-'));
const [scans, cache, small] = ['scans', 'cache', 'small.json'].map((name) => join(folder, name)) as [
  string,
  string,
  string,
];

beforeAll(async () => {
  await writeSamples(scans, 2, 1, false);
  writeFileSync(small, JSON.stringify({ model: SMALL, batch: 1, evaluationCrops: 1, checkpointEvery: 1000 }));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Runs the command line and interrupts it so many milliseconds after the first output that matches. */
function hyspark(args: readonly string[], after?: RegExp, ...interrupts: number[]) {
  const child = spawn(process.execPath, ['--import', 'tsx', 'src/node/cli.ts', ...args, '--cache', cache]);
  let [out, err, waiting] = ['', '', interrupts];
  child.stderr.on('data', (data: Buffer) => {
    err += data;
  });
  child.stdout.on('data', (data: Buffer) => {
    out += data;
    if (!after?.test(out)) return;
    for (const ms of waiting) setTimeout(() => child.kill('SIGINT'), ms);
    waiting = [];
  });
  return new Promise<{ out: string; err: string; status: number | string | null }>((resolve) => {
    child.on('close', (status, signal) => resolve({ out, err, status: status ?? signal }));
  });
}

test('Ctrl-C stops after the step, saves and says how to go on; resume finishes', { timeout: 120_000 }, async () => {
  const run = join(folder, 'run');
  // Twice at once: npm passes on what the terminal has sent already.
  const stopped = await hyspark(
    ['pretrain', scans, '--out', run, '--config', small, '--steps', '400'],
    /step \d+\/400/,
    100,
    200,
  );
  expect(stopped.status).toBe(0);
  expect(stopped.err).toContain('Stopping after this step; Ctrl-C again to quit at once.');
  const step = Number(/^Stopped after (\d+) of 400 steps\.$/m.exec(stopped.out)?.[1]);
  expect(step).toBeGreaterThan(0);
  expect(stopped.out).toContain(`Checkpoint  ${join(run, `checkpoints/${String(step).padStart(6, '0')}.safetensors`)}`);
  expect(stopped.out).toContain(`resume ${run}`);

  const resumed = await hyspark(['resume', run, '--json'], /"type":"progress"/, 0);
  const lines = resumed.out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(JSON.stringify(lines)).toContain(`Continuing from step ${step}.`);
  expect(lines.at(-1)).toMatchObject({ type: 'result', phase: 'stopped', folder: run });
  expect(resumed.status).toBe(0);
});

test('Ctrl-C while preparing leaves no run', { timeout: 120_000 }, async () => {
  const run = join(folder, 'early');
  const args = ['pretrain', scans, '--out', run, '--config', small, '--steps', '400'];
  const stopped = await hyspark(args, /Building pipelines/, 0);
  expect(stopped.err).toContain('Stopped before its first step: there is nothing to keep.');
  expect(stopped.status).toBe(130);
  expect(existsSync(run)).toBe(false);
});

test('a run whose output nobody reads any more stops and saves', { timeout: 120_000 }, async () => {
  const run = join(folder, 'unread');
  const args = ['pretrain', scans, '--out', run, '--config', small, '--steps', '400', '--json', '--cache', cache];
  const child = spawn(process.execPath, ['--import', 'tsx', 'src/node/cli.ts', ...args]);
  let err = '';
  child.stderr.on('data', (data: Buffer) => {
    err += data;
  });
  child.stdout.on('data', (data: Buffer) => {
    if (data.includes('"type":"progress"')) child.stdout.destroy();
  });
  const status = await new Promise((resolve) => child.on('exit', resolve));
  expect([status, err]).toEqual([0, expect.not.stringContaining('EPIPE')]);
  const told = JSON.parse(readFileSync(join(run, 'status.json'), 'utf8'));
  expect(told.phase).toBe('stopped');
  expect(existsSync(join(run, `checkpoints/${String(told.step).padStart(6, '0')}.safetensors`))).toBe(true);
});

test('a second Ctrl-C quits at once', { timeout: 120_000 }, async () => {
  const run = join(folder, 'quit');
  const slow = ['--batch', '8', '--steps', '30', '--evaluation-crops', '1']; // a step takes seconds
  const quit = await hyspark(['pretrain', scans, '--out', run, ...slow], /step \d+\/30/, 50, 700);
  expect(quit.err).toContain('Stopping after this step');
  expect(quit.status).toBe('SIGINT');
  expect(quit.out).not.toContain('Stopped after');
});

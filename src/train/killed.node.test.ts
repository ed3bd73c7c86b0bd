/** A run that is killed at random moments, by the signal that cannot be caught, and resumed each time. */

import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';

const KILLS = 20;
const folder = mkdtempSync(join(tmpdir(), 'killed-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Runs the program; kills it so many milliseconds after its step number `steps`, 0 for its beginning. What it printed. */
function start(
  run: string,
  kill?: { readonly steps: number; readonly ms: number },
): Promise<{ output: string; killed: boolean }> {
  const child = spawn(process.execPath, ['--import', 'tsx', 'src/testing/killed-run.ts', run], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  return new Promise((resolve, reject) => {
    child.stdout.on('data', (data: Buffer) => {
      const before = count(output);
      output += data;
      if (kill && before <= kill.steps && count(output) > kill.steps) setTimeout(() => child.kill('SIGKILL'), kill.ms);
    });
    child.on('error', reject);
    child.on('exit', (_, signal) => resolve({ output, killed: signal === 'SIGKILL' }));
  });
}

/** How often it said that it began to train, or that a step was done. */
function count(output: string): number {
  return output.match(/^(training|step)/gm)?.length ?? 0;
}

test(`killed at ${KILLS} random moments and resumed, a run ends with the same bits`, { timeout: 900_000 }, async () => {
  const whole = join(folder, 'whole');
  expect((await start(whole)).output).toContain('finished 30');
  const broken = join(folder, 'broken');
  let kills = 0;
  let text = '';
  for (let attempt = 0; attempt < KILLS; attempt++) {
    // Within the first two steps of each attempt, so that the run is not over before the last kill.
    const kill = { steps: Math.random() < 0.5 ? 0 : 1, ms: 150 * Math.random() };
    const { output, killed } = await start(broken, kill);
    text += output;
    if (killed) kills++;
  }
  const { output } = await start(broken);
  expect(`${text}${output}`).toContain('finished 30');
  expect(kills).toBe(KILLS);
  const last = (run: string) => readFileSync(join(run, 'checkpoints/000030.safetensors'));
  expect(last(broken).equals(last(whole))).toBe(true);
  const losses = (run: string) =>
    readFileSync(join(run, 'metrics.jsonl'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { kind: string; step?: number; loss?: number })
      .map(({ kind, step, loss }) => `${kind} ${step} ${loss}`);
  expect(losses(broken)).toEqual(losses(whole));
});

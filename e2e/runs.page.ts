/** The page of `runs.test.ts`: a small run in the engine's worker, on the files given to its input. */

import { filesFromInput, pretrain, type RunEvent, resume, startEngine } from '../src/index.ts';
import { SMALL } from '../src/testing/hyspark.ts';

const STEPS = 8;
/** A checkpoint a step: the tab is often closed while one is written. */
const OPTIONS = {
  model: SMALL,
  batch: 1,
  steps: STEPS,
  evaluationCrops: 1,
  evaluateEvery: 4,
  checkpointEvery: 1,
  keep: 2,
};

declare function tell(what: string): void;

function onEvent(event: RunEvent): void {
  if (event.type === 'state') tell(event.phase);
  if (event.type === 'progress') tell(`step ${event.progress.step}`);
  if (event.type === 'log') tell(event.line.text);
}

/** Begins the run, or goes on with it where it has begun. How it ended, and what its last checkpoint and its losses are. */
async function train(id: string) {
  const files = filesFromInput(document.querySelector('input')!.files!);
  const engine = startEngine();
  const begun = (await engine.listRuns()).some((run) => run.id === id);
  engine.terminate();
  const run = begun ? await resume(id, files, { onEvent }) : await pretrain(files, { ...OPTIONS, id }, { onEvent });
  const { phase, step, error, checkpoint } = await run.finished;
  const hash = checkpoint && (await sha256(await run.file(checkpoint)));
  const losses = (await (await run.file('metrics.jsonl')).text())
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { kind: string; step?: number; loss?: number })
    .map((row) => `${row.kind} ${row.step} ${row.loss}`);
  await run.dispose();
  return { phase, step, error, checkpoint, hash, losses, leftovers: await leftovers() };
}

async function sha256(blob: Blob): Promise<string> {
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', await blob.arrayBuffer()));
  return [...hash].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** Names of unfinished copies, which the store does not list. */
async function leftovers(): Promise<string[]> {
  const found: string[] = [];
  type Entries = { entries(): AsyncIterableIterator<[string, FileSystemHandle]> };
  const walk = async (folder: FileSystemDirectoryHandle, at: string) => {
    for await (const [name, handle] of (folder as FileSystemDirectoryHandle & Entries).entries()) {
      if (handle.kind === 'directory') await walk(handle as FileSystemDirectoryHandle, `${at}${name}/`);
      else if (name.endsWith('.crswap')) found.push(at + name);
    }
  };
  await walk(await navigator.storage.getDirectory(), '');
  return found;
}

/** What an engine says that is asked for its runs once it has died, and what `died` resolves with. */
async function askDead(): Promise<{ readonly died: string; readonly answer: string }> {
  const engine = startEngine();
  const asked = engine.listRuns().then(
    () => tell('alive'),
    () => undefined,
  );
  const died = await engine.died;
  await asked;
  return { died, answer: await engine.listRuns().then(String, (error: Error) => error.message) };
}

Object.assign(window, { train, askDead });

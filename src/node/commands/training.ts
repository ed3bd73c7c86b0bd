/** A run on the command line: what is printed while it goes on, Ctrl-C, and what is said at the end. */

import { join, relative, resolve } from 'node:path';
import { HysparkError } from '../../errors.ts';
import type { Engine } from '../../worker/engine.ts';
import type { Progress, RunEvent, RunResult, StartRequest } from '../../worker/protocol.ts';

/** Seconds between lines where there is no terminal. */
const LINE_SECONDS = 10;
/** One Ctrl-C comes several times where npm or tsx stand between: they pass it on. */
const SAME_INTERRUPT_MS = 500;
const SIGNALS: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP'];
/** What shells report of a program that Ctrl-C ended. */
const INTERRUPTED = 130;
/** How this program is called: from the sources, or installed. */
const HYSPARK = import.meta.url.endsWith('.ts') ? 'npm run hyspark --' : 'hyspark';

export interface TerminalOptions {
  /** The run's. */
  readonly folder: string;
  /** Every event as a line of JSON. */
  readonly asJson?: boolean;
  /** Called when the run is under way. */
  readonly begun?: () => Promise<void>;
}

/** Trains until the end, Ctrl-C or a failure, which sets the exit code. Undefined where it was stopped before it had begun. */
export async function trainInTerminal(
  engine: Engine,
  request: StartRequest,
  { folder, asJson = false, begun }: TerminalOptions,
): Promise<RunResult | undefined> {
  const show = asJson ? jsonLines : terminalLines();
  let interrupted: number | undefined;
  const onInterrupt = (signal: NodeJS.Signals) => {
    const now = performance.now();
    if (interrupted !== undefined && now - interrupted < SAME_INTERRUPT_MS) return;
    if (interrupted !== undefined) return dieBy(signal);
    interrupted = now;
    if (!asJson) console.error('\nStopping after this step; Ctrl-C again to quit at once.');
    engine.stop().catch(() => dieBy(signal));
  };
  // Whoever reads the output has gone: `hyspark … | head`, a terminal that was closed.
  const onDeaf = () => void engine.stop().catch(() => undefined);
  for (const signal of SIGNALS) process.on(signal, onInterrupt);
  process.stdout.on('error', onDeaf);
  try {
    await engine.start(request, show);
    await begun?.().catch((error: Error) => {
      console.error(`warning: where the scans lie could not be remembered (${error.message}): name them to resume.`);
    });
    const result = await engine.finished();
    if (asJson) console.log(JSON.stringify({ type: 'result', ...result, folder }));
    else console.log(summary(result, folder));
    if (result.phase === 'failed') process.exitCode = 1;
    return result;
  } catch (error) {
    if (interrupted === undefined || !(error instanceof HysparkError && error.code === 'aborted')) throw error;
    if (!asJson) console.error('Stopped before its first step: there is nothing to keep.');
    process.exitCode = INTERRUPTED;
    return undefined;
  } finally {
    for (const signal of SIGNALS) process.off(signal, onInterrupt);
    process.stdout.off('error', onDeaf);
  }
}

/** Ends the process at once. An orderly exit would wait for what the GPU is doing. */
function dieBy(signal: NodeJS.Signals): void {
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
}

/** Every event a line of JSON; pictures without their voxels. */
function jsonLines(event: RunEvent): void {
  console.log(
    JSON.stringify(event, (key, value: unknown) =>
      ['original', 'masked', 'reconstructed'].includes(key) ? undefined : value,
    ),
  );
}

function terminalLines(): (event: RunEvent) => void {
  const bar = process.stdout.isTTY;
  let heldOut = '';
  let printed = -Infinity;
  const line = (text: string) => console.log(bar ? `\r\x1b[K${text}` : text);
  return (event) => {
    switch (event.type) {
      case 'state':
        if (event.detail) line(`${event.detail} …`);
        break;
      case 'preparation': {
        const { done, of, secondsLeft } = event;
        const left = secondsLeft === undefined ? '' : `, ${clock(secondsLeft)} left`;
        if (bar) process.stdout.write(`\r\x1b[K${done} of ${of}${left}`);
        break;
      }
      case 'collection': {
        const { training, heldOut: out, setAside } = event.collection;
        line(`${training.length} scans for training, ${out.length} held out, ${setAside.length} set aside`);
        break;
      }
      case 'plan': {
        const { plan, config } = event;
        line(
          `${config.preset}: ${plan.parameters.toLocaleString('en')} trained numbers, ${mebibytes(plan.bytes.peak)} on the GPU, ${(plan.flops / 1e9).toFixed(1)} GFLOP a step, ${config.steps} steps${config.precision === 'mixed' ? ', mixed precision' : ''}`,
        );
        break;
      }
      case 'baselines':
        line(
          `To beat on held-out crops: patch mean ${event.baselines.patchMean.toFixed(4)}, smooth fill ${event.baselines.smoothFill.toFixed(4)}`,
        );
        break;
      case 'progress':
        if (bar) process.stdout.write(`\r\x1b[K${progressLine(event.progress, heldOut, process.stdout.columns || 80)}`);
        else if (performance.now() - printed > 1000 * LINE_SECONDS) {
          printed = performance.now();
          line(progressLine(event.progress, heldOut, 0));
        }
        break;
      case 'evaluation':
        heldOut = `  held out ${event.evaluation.loss.toFixed(4)}`;
        line(`step ${event.evaluation.step}: held-out loss ${event.evaluation.loss.toFixed(4)}`);
        break;
      case 'log':
        line(event.line.level === 'info' ? event.line.text : `${event.line.level}: ${event.line.text}`);
        break;
    }
  };
}

function progressLine(progress: Progress, heldOut: string, columns: number): string {
  const { step, steps, loss, cropsPerSecond, secondsLeft } = progress;
  const text = `step ${step}/${steps}  loss ${loss.toFixed(4)}${heldOut}  ${cropsPerSecond.toFixed(2)} crops/s  ${clock(secondsLeft)} left`;
  const room = Math.min(30, columns - text.length - 5);
  if (room < 8) return columns > 0 ? text.slice(0, columns - 1) : text;
  const done = Math.round((room * step) / steps);
  return `[${'#'.repeat(done)}${'·'.repeat(room - done)}] ${text}`;
}

function clock(seconds: number): string {
  const whole = Math.round(seconds);
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (n: number) => String(n).padStart(2, '0');
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(0)} MiB`;
}

function summary(result: RunResult, folder: string): string {
  const path = (file: string | undefined) => (file ? pathText(join(folder, file)) : 'none');
  const lines = [
    '',
    `${result.phase === 'finished' ? 'Finished' : result.phase === 'stopped' ? 'Stopped' : 'Failed'} after ${result.step} of ${result.steps} steps.`,
    result.error ? HysparkError.fromPlain(result.error).message : result.verdict.sentence,
    `Report      ${path(result.report)}`,
    `Checkpoint  ${path(result.checkpoint)}`,
    `Best        ${path(result.best)}`,
    `Picture     ${path(result.preview)}`,
  ];
  const run = quoted(pathText(folder));
  if (result.phase !== 'finished' && result.checkpoint) lines.push(`Go on with  ${HYSPARK} resume ${run}`);
  if (result.checkpoint) lines.push(`PyTorch     ${HYSPARK} export ${run} --format pth`);
  return lines.join('\n');
}

/** Relative where it lies below the working folder. */
export function pathText(path: string): string {
  const near = relative('.', path) || '.';
  return near.startsWith('..') ? resolve(path) : near;
}

/** As a word for a shell. */
function quoted(path: string): string {
  return /^[\w./+=@:-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}

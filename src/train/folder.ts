/**
 * A run's folder: configuration, metrics, TensorBoard events, checkpoints, pictures, report. What cannot be written is said in a
 * sentence and the run goes on with what can.
 */

import { HysparkError } from '../errors.ts';
import type { Bytes } from '../formats/bytes.ts';
import { fileHeader, image, scalars, sessionStart, wholeRecordBytes } from '../formats/tensorboard.ts';
import { isFull, type Store } from '../store/store.ts';
import type { Tuning } from '../tape/op.ts';
import { resolveConfig } from './config.ts';
import type { CollectionReport, LogLine, MetricsRow, PlanReport, RunConfig, RunPhase } from './types.ts';

/** The engine's version, as in package.json. */
export const VERSION = '0.1.0';

/** `config.json`: what the run is. Written once. */
export interface RunHead {
  readonly format: 1;
  readonly engine: string;
  /** Milliseconds since 1970. */
  readonly created: number;
  readonly config: RunConfig;
  readonly plan: PlanReport;
  /** Content hashes of the scans. */
  readonly collection: Pick<CollectionReport, 'training' | 'heldOut'>;
  /** Adapter that it was started on. */
  readonly adapter: string;
  /** Kernels that were chosen by measuring there: the run's bits depend on them. */
  readonly tuning?: Tuning;
  /** It began from weights of a file: without a checkpoint it cannot begin again from its seed. */
  readonly fromWeights?: boolean;
}

/** `status.json`: where the run is. */
export interface RunStatus {
  readonly phase: RunPhase;
  readonly step: number;
  readonly adapter: string;
  readonly loss?: number;
  readonly heldOutLoss?: number;
  readonly verdict: string;
  /** Why it failed. */
  readonly error?: string;
}

export interface StoredCheckpoint {
  readonly step: number;
  readonly path: string;
}

const CONFIG = 'config.json';
const STATUS = 'status.json';
const METRICS = 'metrics.jsonl';

export type Log = (level: LogLine['level'], text: string) => void;

export class RunFolder {
  readonly rows: MetricsRow[] = [];
  private readonly events: string;
  /** Lines and records that are not in their files yet. */
  private lines: MetricsRow[] = [];
  private records: Bytes[] = [];
  /** A file that an append may have left with half a line: it is written whole next time. */
  private readonly torn = new Set<string>();
  private readonly said = new Set<string>();
  /** Checkpoints that could not be read; they are as good as not there, and go once there is a new one. */
  private readonly unreadable = new Set<string>();

  private constructor(
    readonly store: Store,
    readonly head: RunHead,
    private readonly log: Log,
  ) {
    this.events = `events.out.tfevents.${Math.floor(head.created / 1000)}.hyspark`;
  }

  /** Error `bad-argument` when there is a run in it already. */
  static async create(store: Store, head: RunHead, log: Log): Promise<RunFolder> {
    if ((await store.size(CONFIG)) !== undefined) {
      throw new HysparkError('bad-argument', {
        doing: 'Starting a run',
        got: 'a folder that holds one already',
        need: 'another folder',
        advice: 'Resume that run, or choose another folder',
      });
    }
    await store.write(CONFIG, json(head));
    const folder = new RunFolder(store, head, log);
    folder.records.push(fileHeader(head.created / 1000));
    return folder;
  }

  /** Error `bad-file` where the folder holds no run that can be read. */
  static async open(store: Store, log: Log): Promise<RunFolder> {
    const folder = new RunFolder(store, await readHead(store), log);
    folder.rows.push(...(await readMetrics(store)));
    await store.clean();
    return folder;
  }

  /** Removes what the folder holds of a run that could not begin. */
  async discard(): Promise<void> {
    const { store } = this;
    const checkpoints = await this.checkpoints().catch(() => []); // what is wrong has been said
    const files = [CONFIG, STATUS, METRICS, this.events, ...checkpoints.map(({ path }) => path)];
    for (const path of files) await store.remove(path).catch(() => undefined);
  }

  /** What was logged after `step` is forgotten: the run goes on from there. */
  async continueFrom(step: number): Promise<void> {
    const rows = this.rows.filter((row) => row.kind === 'baselines' || row.step <= step);
    this.rows.splice(0, this.rows.length, ...rows);
    this.lines = [];
    this.torn.add(METRICS).add(this.events);
    this.records = (await this.store.size(this.events)) === undefined ? [fileHeader(this.head.created / 1000)] : [];
    this.records.push(sessionStart({ wallTime: Date.now() / 1000, step }));
    await this.flush();
  }

  /** Adds a row; it reaches the disk with the next `flush`. */
  add(row: MetricsRow): void {
    this.rows.push(row);
    this.lines.push(row);
    const time = { wallTime: Date.now() / 1000, step: 'step' in row ? row.step : 0 };
    if (row.kind === 'step') {
      const { loss, gradientNorm, learningRate, cropsPerSecond, waitedShare } = row;
      this.records.push(
        scalars(time, {
          'loss/train': loss,
          gradient_norm: gradientNorm,
          learning_rate: learningRate,
          'speed/crops_per_second': cropsPerSecond,
          'speed/waited_share': waitedShare,
        }),
      );
    } else if (row.kind === 'evaluation') this.records.push(scalars(time, { 'loss/held_out': row.loss }));
    else
      this.records.push(
        scalars(time, { 'baseline/smooth_fill': row.smoothFill, 'baseline/patch_mean': row.patchMean }),
      );
  }

  async flush(): Promise<void> {
    if (this.lines.length > 0 || this.torn.has(METRICS)) {
      await this.put(METRICS, 'The metrics', 'written', async () => {
        const whole = this.torn.has(METRICS);
        const text = (whole ? this.rows : this.lines).map((row) => `${JSON.stringify(row)}\n`).join('');
        if (!text) await this.store.remove(METRICS);
        else await (whole ? this.store.write(METRICS, utf8(text)) : this.store.append(METRICS, utf8(text)));
        this.lines = [];
      });
    }
    if (this.records.length > 0) {
      await this.put(this.events, 'The TensorBoard events', 'written', async () => {
        if (this.torn.has(this.events) && (await this.store.size(this.events)) !== undefined) {
          const file = await this.store.read(this.events);
          const whole = wholeRecordBytes(file);
          if (whole < file.length) await this.store.write(this.events, file.slice(0, whole));
        }
        await this.store.append(this.events, new Uint8Array(await new Blob(this.records).arrayBuffer()));
        this.records = [];
      });
    }
  }

  async saveStatus(status: RunStatus): Promise<void> {
    await this.put(STATUS, 'The status', 'written', () => this.store.write(STATUS, json(status)));
  }

  /** Writes a file of the run. Whether it was written. */
  async save(path: string, what: string, bytes: Bytes): Promise<boolean> {
    return this.put(path, what, 'written', () => this.store.write(path, bytes));
  }

  /** A picture, for the folder and for TensorBoard. Its path, or undefined when it could not be kept. */
  async savePreview(step: number, png: Bytes): Promise<string | undefined> {
    const path = `previews/${numbered(step)}.png`;
    const view = new DataView(png.buffer, png.byteOffset);
    const size = { width: view.getUint32(16), height: view.getUint32(20) }; // of the IHDR chunk
    this.records.push(image({ wallTime: Date.now() / 1000, step }, 'preview', { ...size, png }));
    return (await this.save(path, 'A picture', png)) ? path : undefined;
  }

  /** The newest picture of steps up to `step`. */
  async pictureUpTo(step: number): Promise<string | undefined> {
    const files = await this.store.list('previews/').catch(() => []);
    return files.findLast(({ path }) => path <= `previews/${numbered(step)}.png`)?.path;
  }

  /** Those that can be read, as far as is known; newest first. Error `storage`. */
  async checkpoints(): Promise<StoredCheckpoint[]> {
    return checkpointsOf(await this.store.list('checkpoints/')).filter(({ path }) => !this.unreadable.has(path));
  }

  /** Of the stored ones, the one with the lowest held-out loss. */
  async best(): Promise<StoredCheckpoint | undefined> {
    return bestOf(await this.checkpoints().catch(() => []), this.rows);
  }

  /** This checkpoint cannot be read: others count. */
  passOver(path: string): void {
    this.unreadable.add(path);
  }

  /**
   * Writes a checkpoint and removes those that are neither among the last `keep` nor the best. On a full disk older ones make way.
   * @param write makes the file's chunks anew for each attempt
   * @returns its path, or undefined when there was no room at all
   */
  async saveCheckpoint(step: number, keep: number, write: () => AsyncIterable<Bytes>): Promise<string | undefined> {
    const path = `checkpoints/${numbered(step)}.safetensors`;
    for (;;) {
      try {
        await this.store.write(path, write());
        break;
      } catch (error) {
        if (!(error instanceof HysparkError) || error.code !== 'storage') throw error;
        if (isFull(error) && (await this.removeUnreadable())) continue;
        const spare = isFull(error) ? await this.spareCheckpoint() : undefined;
        if (!spare) {
          this.log('warning', `The checkpoint of step ${step} could not be kept. ${error.message} The run goes on.`);
          return undefined;
        }
        this.log('warning', `No space left: the checkpoint of step ${spare.step} was removed to keep that of ${step}.`);
      }
    }
    this.unreadable.delete(path);
    await this.put('checkpoints/', 'Old checkpoints', 'removed', async () => {
      const stored = await this.checkpoints();
      const best = bestOf(stored, this.rows);
      for (const old of stored.slice(keep)) if (old.step !== best?.step) await this.store.remove(old.path);
    });
    await this.removeUnreadable();
    return path;
  }

  /** Removes the checkpoints that could not be read. Whether there were any that could be removed. */
  private async removeUnreadable(): Promise<boolean> {
    let some = false;
    for (const path of this.unreadable) {
      await this.store.remove(path).then(
        () => (some = this.unreadable.delete(path)),
        () => undefined, // next time
      );
    }
    return some;
  }

  /**
   * Removes a checkpoint to make room: the oldest, the best only where no other is left, the newest never, for it is what a resumed run
   * would start from. Undefined when none could be spared.
   */
  private async spareCheckpoint(): Promise<StoredCheckpoint | undefined> {
    try {
      const older = (await this.checkpoints()).slice(1);
      const best = bestOf(older, this.rows);
      const spare = older.findLast(({ step }) => step !== best?.step) ?? best;
      if (spare) await this.store.remove(spare.path);
      return spare;
    } catch {
      return undefined;
    }
  }

  /** Runs `work`; a failure of the store is said once, and tried again with the next call. */
  private async put(
    path: string,
    what: string,
    done: 'written' | 'removed',
    work: () => Promise<void>,
  ): Promise<boolean> {
    try {
      await work();
      this.torn.delete(path);
      if (this.said.delete(path)) this.log('info', `${what} can be ${done} again.`);
      return true;
    } catch (error) {
      if (!(error instanceof HysparkError) || error.code !== 'storage') throw error;
      this.torn.add(path);
      if (!this.said.has(path)) this.log('warning', `${what} could not be ${done}. ${error.message} The run goes on.`);
      this.said.add(path);
      return false;
    }
  }
}

export function checkpointsOf(files: readonly { readonly path: string }[]): StoredCheckpoint[] {
  return files
    .flatMap(({ path }) => {
      const step = /^checkpoints\/(\d+)\.safetensors$/.exec(path)?.[1];
      return step === undefined ? [] : [{ step: Number(step), path }];
    })
    .sort((a, b) => b.step - a.step);
}

export function bestOf(stored: readonly StoredCheckpoint[], rows: readonly MetricsRow[]): StoredCheckpoint | undefined {
  const losses = new Map(rows.flatMap((row) => (row.kind === 'evaluation' ? [[row.step, row.loss] as const] : [])));
  return stored
    .filter(({ step }) => Number.isFinite(losses.get(step)))
    .reduce<StoredCheckpoint | undefined>(
      (a, b) => (a && losses.get(a.step)! <= losses.get(b.step)! ? a : b),
      undefined,
    );
}

export async function readHead(store: Store): Promise<RunHead> {
  try {
    const head = JSON.parse(await (await store.open(CONFIG)).text()) as RunHead;
    const lists = [head?.collection?.training, head?.collection?.heldOut];
    if (head?.format !== 1 || !head.config?.model || !lists.every(Array.isArray)) {
      throw new Error('not a run of this engine');
    }
    return { ...head, config: resolveConfig(head.config) };
  } catch (cause) {
    const { doing, got } = cause instanceof HysparkError ? cause.parts : { doing: '', got: (cause as Error).message };
    throw new HysparkError('bad-file', {
      doing: `Opening a run's ${CONFIG}`,
      got: doing.startsWith('Option') ? `${got} as ${doing.toLowerCase()}` : got,
      need: 'a folder that a run was written to',
      cause,
    });
  }
}

/** Undefined where there is none or it is damaged. */
export async function readStatus(store: Store): Promise<RunStatus | undefined> {
  try {
    return JSON.parse(await (await store.open(STATUS)).text()) as RunStatus;
  } catch {
    return undefined;
  }
}

/** Rows up to the first that is damaged: a process that was killed may leave half a line. */
export async function readMetrics(store: Store): Promise<MetricsRow[]> {
  const rows: MetricsRow[] = [];
  if ((await store.size(METRICS)) === undefined) return rows;
  for (const line of (await (await store.open(METRICS)).text()).split('\n')) {
    try {
      // JSON has no other way of writing a number that is not finite than null.
      if (line) rows.push(JSON.parse(line, (_, value: unknown) => value ?? Number.NaN) as MetricsRow);
    } catch {
      break;
    }
  }
  return rows;
}

function numbered(step: number): string {
  return String(step).padStart(6, '0');
}

function utf8(text: string): Bytes {
  return new TextEncoder().encode(text);
}

function json(value: unknown): Bytes {
  return utf8(`${JSON.stringify(value, null, 2)}\n`);
}

/**
 * One run from its scans to its report: prepare, step, judge, picture, checkpoint; pause, stop, and go on after a lost device. A run that was
 * killed at any moment and resumed ends with the same bits as one that was not.
 */

import type { Batch } from '../data/loader.ts';
import type { Cursor } from '../data/sampler.ts';
import type { FoundFile } from '../data/source.ts';
import type { LoaderService } from '../data/worker/loader-service.ts';
import { HysparkError } from '../errors.ts';
import type { Device } from '../gpu/device.ts';
import type { Store } from '../store/store.ts';
import { openCheckpoint, writeCheckpoint } from './checkpoint.ts';
import { resolveConfig, scheduleOf } from './config.ts';
import { RunFolder, readHead, VERSION } from './folder.ts';
import { Judge, previewPng } from './judge.ts';
import { planRun } from './network.ts';
import { reportHtml } from './report.ts';
import { scheduleAt } from './schedule.ts';
import { type StepLosses, Trainer } from './trainer.ts';
import type {
  CollectionReport,
  LogLine,
  Preview,
  Progress,
  RunConfig,
  RunEvent,
  RunOptions,
  RunPhase,
  RunResult,
} from './types.ts';
import { loadWeights } from './weights.ts';

/** What a run is given by whoever started it. */
export interface RunHost {
  readonly id: string;
  /** The run's own folder. */
  readonly store: Store;
  readonly loader: LoaderService;
  /** A device that works: another one after the last was lost. */
  device(): Promise<Device>;
  onEvent(event: RunEvent): void;
}

export interface RunRequest {
  readonly files: readonly FoundFile[];
  readonly options: RunOptions;
  /** Continue what is in the folder; `options` are then not looked at. */
  readonly resume: boolean;
  /** Bytes that prepared scans may take in the cache. */
  readonly cacheLimit: number;
  readonly weights?: Blob;
  readonly partialWeights?: boolean;
}

/** A step whose losses are not known yet. */
interface Submitted {
  readonly step: number;
  readonly losses: Promise<StepLosses>;
  readonly crops: Batch['crops'];
}

/** Steps whose losses are read late. */
const LATE = 3;
/** Steps that the speed is taken over. */
const RECENT = 30;
/** Milliseconds between writings of metrics. */
const FLUSH_MS = 2000;
/** A device lost so often without a new checkpoint will be lost again. */
const MOST_LOSSES = 3;

export class Run {
  phase: RunPhase = 'idle';
  /** Steps whose losses are known. */
  private step = 0;
  private config!: RunConfig;
  private folder!: RunFolder;
  private trainer!: Trainer;
  private judge!: Judge;
  private cursor: Cursor | undefined;
  private upcoming: Promise<Batch> | undefined;
  private saved: { readonly step: number; readonly path: string } | undefined;
  private last: Progress | undefined;
  private picture: string | undefined;
  private losses = 0;
  private stopping = false;
  private pausing = false;
  private wake: () => void = () => undefined;
  /** When the latest steps were settled, oldest first; begins anew after a pause. */
  private times: { readonly at: number; readonly step: number; readonly idleMs: number }[] = [];
  private readonly setAside = new Set<string>();
  private flushed = 0;

  constructor(
    private readonly host: RunHost,
    private readonly request: RunRequest,
  ) {}

  /** Finds the scans, builds the plans, loads the checkpoint. Rejects with what is wrong. */
  async prepare(): Promise<void> {
    const { host, request } = this;
    this.enter('preparing', 'Finding scans');
    const head = request.resume ? await readHead(host.store) : undefined;
    const asked = head?.config ?? resolveConfig(request.options);
    const collection = await this.openLoader(asked);
    this.config = head?.config ?? resolveConfig(request.options, collection.training.length);
    host.onEvent({ type: 'collection', collection });
    this.reportSetAside(collection.setAside);
    this.enter('preparing', 'Building pipelines');
    const device = await host.device();
    const plan = planRun(this.config, device.report);
    host.onEvent({ type: 'plan', plan, config: this.config });
    this.trainer = await Trainer.create(device, this.config);
    try {
      const { training, heldOut } = collection;
      if (head) {
        const scans = [...head.collection.training, '', ...head.collection.heldOut].join();
        if (scans !== [...training, '', ...heldOut].join()) throw otherScans(head.collection, collection);
        this.folder = await RunFolder.open(host.store, this.log);
        await this.restore();
      } else {
        if (request.weights) {
          const found = await loadWeights(this.trainer, request.weights, request.partialWeights ?? false);
          this.log('info', found);
        }
        const adapter = device.report.name;
        const { config } = this;
        const fresh = { format: 1, engine: VERSION, created: Date.now(), config, plan, collection, adapter } as const;
        this.folder = await RunFolder.create(host.store, { ...fresh, collection: { training, heldOut } }, this.log);
        if (request.weights) await this.checkpoint();
      }
      this.enter('preparing', 'Preparing held-out crops');
      this.judge = await Judge.open(this.host.loader, collection, this.trainer);
      const lines = this.judge.judgeBaselines(this.folder.rows);
      if (lines) {
        if (!this.folder.rows.some(({ kind }) => kind === 'baselines'))
          this.folder.add({ kind: 'baselines', ...lines });
        host.onEvent({ type: 'baselines', baselines: lines });
      }
      if (heldOut.length === 0)
        this.log('warning', 'A single scan: nothing can be held out, so the run is judged on it.');
    } catch (error) {
      this.trainer.destroy();
      throw error;
    }
  }

  /** Takes the steps. Never rejects: what went wrong is in the result. */
  async run(): Promise<RunResult> {
    let failure: unknown;
    for (;;) {
      try {
        await this.train();
        break;
      } catch (error) {
        try {
          if (!(await this.deviceLost())) throw error;
          await this.rebuild();
        } catch (final) {
          failure = final;
          break;
        }
      }
    }
    return this.finish(failure);
  }

  pause(): void {
    this.pausing = true;
  }

  resume(): void {
    this.pausing = false;
    this.wake();
  }

  stop(): void {
    this.stopping = true;
    this.wake();
  }

  async preview(index: number): Promise<Preview> {
    const preview = await this.judge.picture(this.trainer, index, this.step);
    if (preview) return preview;
    throw new HysparkError('bad-argument', {
      doing: 'Making a picture',
      got: `crop ${index}`,
      need: `0 to ${this.judge.count - 1}`,
    });
  }

  get device(): Device {
    return this.trainer.device;
  }

  /** Frees the GPU's memory at once. */
  dispose(): void {
    this.stop();
    this.trainer?.destroy();
  }

  private async train(): Promise<void> {
    const { config, host } = this;
    const late: Submitted[] = [];
    this.enter('training');
    this.restart();
    let next = this.step;
    while (next < config.steps) {
      const volumes: Float32Array[] = [];
      const crops: Batch['crops'][number][] = [];
      for (let n = 0; n < config.accumulate; n++) {
        const batch = await (this.upcoming ?? host.loader.next());
        this.upcoming = host.loader.next();
        this.upcoming.catch(() => undefined); // it is heard of when its turn comes
        volumes.push(batch.voxels);
        crops.push(...batch.crops);
        this.cursor = batch.cursor;
      }
      const { losses } = await this.trainer.submit(next, volumes);
      late.push({ step: next++, losses, crops });
      const due = this.due(next);
      while (late.length > (due ? 0 : LATE)) await this.settle(late.shift()!);
      if (!due) continue;
      await this.trainer.drain();
      await this.boundary();
      if (this.stopping) return;
      if (this.pausing) await this.hold();
      this.trainer.device.check();
    }
  }

  /** Whether something is to be done after `step` steps that needs an empty queue. */
  private due(step: number): boolean {
    const { evaluateEvery, previewEvery, checkpointEvery, steps } = this.config;
    const regular = [evaluateEvery, previewEvery, checkpointEvery].some((every) => step % every === 0);
    return this.stopping || this.pausing || regular || step === steps;
  }

  /** Scans that turn out to be unusable are named once. */
  private reportSetAside(list: CollectionReport['setAside']): void {
    for (const { path, reason } of list) {
      if (!this.setAside.has(path)) this.log('warning', `Set aside: ${path}: ${reason}`);
      this.setAside.add(path);
    }
  }

  private async boundary(): Promise<void> {
    this.reportSetAside((await this.host.loader.status()).setAside);
    const { evaluateEvery, previewEvery, checkpointEvery, steps } = this.config;
    const { step } = this;
    const end = step === steps;
    const on = (every: number) => step % every === 0 || end;
    // A checkpoint that is kept because it is the best must have been judged.
    if (on(evaluateEvery) || on(checkpointEvery)) {
      const evaluation = await this.judge.evaluate(this.trainer, step);
      if (evaluation) {
        this.folder.add({ kind: 'evaluation', ...evaluation });
        this.host.onEvent({ type: 'evaluation', evaluation, verdict: this.judge.verdict(this.folder.rows) });
      }
    }
    const preview = on(previewEvery) && (await this.judge.picture(this.trainer, this.judge.shown, step));
    if (preview) {
      const file = await this.folder.savePreview(step, previewPng(preview));
      this.picture = file ?? this.picture;
      this.host.onEvent({ type: 'preview', preview: { ...preview, file } });
    }
    if (on(checkpointEvery) || this.pausing || this.stopping) await this.checkpoint();
    await this.folder.flush();
    await this.folder.saveStatus(this.status());
  }

  /** Waits for the losses of a step, checks them and tells of them. */
  private async settle({ step, losses, crops }: Submitted): Promise<void> {
    const { loss, gradientNorm } = await losses;
    const { config, folder } = this;
    if (!Number.isFinite(loss) || !Number.isFinite(gradientNorm)) {
      const where = crops.map(({ hash, start }) => `${hash} at ${start.join(' ')}`).join(', ');
      throw new HysparkError('not-finite', {
        doing: `Training step ${step + 1}`,
        got: `a loss of ${loss} and a gradient of norm ${gradientNorm} on the crops ${where}`,
        advice: `The last good checkpoint is ${this.saved ? this.saved.path : 'none: the run had not got to one'}. Start from it with a lower learning rate`,
      });
    }
    this.step = step + 1;
    const { learningRate } = scheduleAt(scheduleOf(config), step);
    const first = this.times[0]!;
    this.times.push({ at: performance.now(), step: this.step, idleMs: this.trainer.idleMs });
    // The first step of a stretch builds what the driver left for later: it counts for as long as there is no other.
    if (this.times.length > RECENT || this.times.length === 3) this.times.shift();
    const seconds = (performance.now() - first.at) / 1000;
    const perStep = seconds / (this.step - first.step);
    const cropsPerSecond = (config.batch * config.accumulate) / perStep;
    const waitedShare = Math.min(1, (this.trainer.idleMs - first.idleMs) / 1000 / seconds);
    const row = {
      step: this.step,
      loss,
      gradientNorm,
      learningRate,
      epoch: crops[0]!.epoch,
      cropsPerSecond,
      waitedShare,
    };
    folder.add({ kind: 'step', ...row });
    const secondsLeft = perStep * (config.steps - this.step);
    const plannedBytes = this.trainer.plan.bytes.peak;
    this.last = { ...row, steps: config.steps, secondsLeft, plannedBytes };
    this.host.onEvent({ type: 'progress', progress: this.last });
    if (performance.now() - this.flushed > FLUSH_MS) {
      await folder.flush();
      this.flushed = performance.now();
    }
  }

  private async checkpoint(): Promise<void> {
    if (this.saved?.step === this.step) return;
    const { config, cursor, step } = this;
    await this.folder.flush(); // the metrics up to a checkpoint are there when it is
    const passes = step * config.accumulate;
    const state = { step, passes, seed: config.seed, cursor: cursor ?? null, configuration: config };
    const path = await this.folder.saveCheckpoint(step, config.keep, () =>
      writeCheckpoint(this.trainer.model.declare, state),
    );
    if (!path) return;
    this.saved = { step, path };
    this.losses = 0;
    const best = (await this.folder.best())?.step === step;
    this.host.onEvent({ type: 'checkpoint', step, file: path, best });
  }

  /** Loads the newest checkpoint that can be read; without any, the run begins again from its seed. */
  private async restore(): Promise<void> {
    for (const { path, step } of await this.folder.checkpoints()) {
      try {
        const checkpoint = await openCheckpoint(await this.folder.store.open(path), path);
        await checkpoint.load(this.trainer.model.declare);
        this.cursor = (checkpoint.run.cursor as Cursor | null) ?? undefined;
        this.step = checkpoint.run.step;
        this.saved = { step, path };
        break;
      } catch (error) {
        if (!(error instanceof HysparkError) || !['bad-file', 'storage', 'mismatch'].includes(error.code)) throw error;
        this.log('warning', `${error.message} The checkpoint before it is taken.`);
        this.trainer.begin();
        await this.folder.store.remove(path);
      }
    }
    if (!this.saved) {
      this.log('warning', 'There is no checkpoint that can be read: the run begins again.');
      this.step = 0;
      this.cursor = undefined;
    }
    await this.folder.continueFrom(this.step);
    await this.openLoader(this.config, this.cursor);
    this.log('info', `Continuing from step ${this.step}.`);
  }

  private async deviceLost(): Promise<boolean> {
    const { lost } = this.trainer.device;
    // The news of a lost device may come after the failure of what was under way.
    const gone = await Promise.race([lost, new Promise<undefined>((resolve) => setTimeout(resolve, 200))]);
    return gone?.code === 'device-lost' && !this.stopping && ++this.losses <= MOST_LOSSES;
  }

  private async rebuild(): Promise<void> {
    const at = this.step;
    this.enter('preparing', 'The GPU was lost: building everything again');
    this.trainer.destroy();
    this.trainer = await Trainer.create(await this.host.device(), this.config);
    this.saved = undefined;
    await this.restore();
    this.log('warning', `The GPU was lost after step ${at}; the run goes on from step ${this.step} on a new device.`);
  }

  private async hold(): Promise<void> {
    this.enter('paused');
    await this.folder.saveStatus(this.status());
    await new Promise<void>((resolve) => {
      this.wake = resolve;
      if (!this.pausing || this.stopping) resolve();
    });
    if (this.stopping) return;
    this.enter('training');
    this.restart();
  }

  private async finish(failure: unknown): Promise<RunResult> {
    const { folder, config } = this;
    let error: HysparkError | undefined;
    if (failure !== undefined) {
      error = failure instanceof HysparkError ? failure : unexpected(failure);
      this.log('error', error.message);
    }
    // Weights are fit to be kept unless a NaN or a lost device went before.
    if (error && !['not-finite', 'device-lost', 'gpu-validation', 'gpu-out-of-memory'].includes(error.code)) {
      await this.trainer.drain().then(
        () => this.checkpoint(),
        () => undefined,
      );
    }
    this.phase = error ? 'failed' : this.step === config.steps ? 'finished' : 'stopped';
    const status = this.status();
    await folder.flush();
    await folder.saveStatus(status);
    const result: RunResult = {
      id: this.host.id,
      phase: this.phase as RunResult['phase'],
      step: this.step,
      steps: config.steps,
      loss: this.last?.loss,
      evaluation: this.judge.latest(folder.rows),
      baselines: this.judge.lines,
      verdict: this.judge.verdict(folder.rows),
      checkpoint: this.saved?.path,
      best: (await folder.best())?.path,
      preview: this.picture,
      error: error?.toPlain(),
    };
    const html = new TextEncoder().encode(await reportHtml(folder, result, status.adapter));
    const report = (await folder.save('report.html', 'The report', html)) ? 'report.html' : undefined;
    this.trainer.destroy();
    this.enter(this.phase, '', error);
    return { ...result, report };
  }

  private status() {
    const { rows } = this.folder;
    return {
      phase: this.phase,
      step: this.step,
      adapter: this.trainer.device.report.name,
      loss: this.last?.loss,
      heldOutLoss: this.judge.latest(rows)?.loss,
      verdict: this.judge.verdict(rows).sentence,
    };
  }

  private async openLoader(config: RunConfig, cursor?: Cursor) {
    const { batch, seed, cropsPerScan, flips, heldOut, model } = config;
    const options = { batch, seed, cropsPerScan, flips, heldOut, crop: model.crop };
    this.upcoming = undefined;
    return this.host.loader.open(this.request.files, options, this.request.cacheLimit, cursor);
  }

  private restart(): void {
    this.times = [{ at: performance.now(), step: this.step, idleMs: this.trainer.idleMs }];
  }

  private enter(phase: RunPhase, detail = '', error?: HysparkError): void {
    this.phase = phase;
    this.host.onEvent({ type: 'state', phase, detail, error: error?.toPlain() });
  }

  private readonly log = (level: LogLine['level'], text: string): void => {
    this.host.onEvent({ type: 'log', line: { time: Date.now(), level, text } });
  };
}

function otherScans(
  then: { readonly training: readonly string[]; readonly heldOut: readonly string[] },
  now: { readonly training: readonly string[]; readonly heldOut: readonly string[] },
): HysparkError {
  const before = new Set([...then.training, ...then.heldOut]);
  const after = new Set([...now.training, ...now.heldOut]);
  const missing = [...before].filter((hash) => !after.has(hash));
  const added = [...after].filter((hash) => !before.has(hash));
  return new HysparkError('mismatch', {
    doing: 'Resuming a run',
    got: `other scans: ${missing.length} missing${missing.length > 0 ? ` (${missing.slice(0, 3).join(', ')})` : ''}, ${added.length} new`,
    need: `the ${before.size} scans that it was started with`,
    advice: 'Give the same files, or start a new run from its weights',
  });
}

function unexpected(cause: unknown): HysparkError {
  const got = cause instanceof Error ? cause.message : String(cause);
  return new HysparkError('bad-state', { doing: 'Training', got, cause });
}

/**
 * One run from its scans to its report: prepare, step, judge, picture, checkpoint; pause, stop, and go on after a lost device. A run that was
 * killed at any moment and resumed ends with the same bits as one that was not.
 */

import type { Batch } from '../data/loader.ts';
import type { FoundFile } from '../data/source.ts';
import type { LoaderService } from '../data/worker/loader-service.ts';
import { HysparkError } from '../errors.ts';
import type { Device } from '../gpu/device.ts';
import type { Store } from '../store/store.ts';
import type { Tuning } from '../tape/op.ts';
import { writeCheckpoint } from './checkpoint.ts';
import { resolveConfig, scheduleOf } from './config.ts';
import { Feed, needSameScans } from './feed.ts';
import { type Log, RunFolder, readHead, VERSION } from './folder.ts';
import { Judge, previewPng } from './judge.ts';
import { LostDevices } from './lost-devices.ts';
import { planRun } from './network.ts';
import { Overflows } from './overflows.ts';
import { Pace } from './pace.ts';
import { reportHtml } from './report.ts';
import { scheduleAt } from './schedule.ts';
import { type StepLosses, Trainer } from './trainer.ts';
import { chooseKernels } from './tuning.ts';
import type { Preview, Progress, RunConfig, RunEvent, RunOptions, RunPhase, RunResult } from './types.ts';
import { loadNewest, loadWeights } from './weights.ts';

/** What a run is given by whoever started it. */
export interface RunHost {
  readonly id: string;
  /** The run's own folder. */
  readonly store: Store;
  readonly loader: LoaderService;
  /** A device that works: another one after the last was lost. */
  device(): Promise<Device>;
  /** Where kernels chosen by measuring are remembered; without it none are measured. */
  readonly tuningCache?: Store;
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
/** Milliseconds between writings of metrics. */
const FLUSH_MS = 2000;

export class Run {
  phase: RunPhase = 'idle';
  /** Steps whose losses are known. */
  private step = 0;
  private config!: RunConfig;
  private tuning: Tuning | undefined;
  private folder!: RunFolder;
  private trainer!: Trainer;
  private judge!: Judge;
  private saved: { readonly step: number; readonly path: string } | undefined;
  private last: Progress | undefined;
  private picture: string | undefined;
  private stopping = false;
  private pausing = false;
  private wake: () => void = () => undefined;
  private readonly pace = new Pace();
  private readonly lostDevices = new LostDevices();
  private readonly overflows = new Overflows((text) => this.log('warning', text));
  private readonly feed: Feed;
  private flushed = 0;

  constructor(
    private readonly host: RunHost,
    private readonly request: RunRequest,
  ) {
    this.feed = new Feed(host.loader, (text) => this.log('warning', text));
  }

  /** Finds the scans, builds the plans, loads the checkpoint. Rejects with what is wrong. */
  async prepare(): Promise<void> {
    const { host, request } = this;
    this.enter('preparing', 'Finding scans');
    const head = request.resume ? await readHead(host.store) : undefined;
    const asked = head?.config ?? resolveConfig(request.options);
    const collection = await this.feed.open(request.files, asked, request.cacheLimit);
    this.config = head?.config ?? resolveConfig(request.options, collection.training.length);
    host.onEvent({ type: 'collection', collection });
    this.tuning = head ? head.tuning : await this.chooseKernels();
    this.enter('preparing', 'Building pipelines');
    const device = await host.device();
    const plan = planRun(this.config, { ...device.report, tuning: this.tuning });
    host.onEvent({ type: 'plan', plan, config: this.config });
    this.trainer = await Trainer.create(device, this.config, this.tuning);
    try {
      const { training, heldOut } = collection;
      if (head) {
        needSameScans(head.collection, collection);
        this.folder = await RunFolder.open(host.store, this.log);
        await this.restore();
      } else {
        if (request.weights) {
          const found = await loadWeights(this.trainer, request.weights, request.partialWeights ?? false);
          this.log('info', found);
        }
        const adapter = device.report.name;
        const { config, tuning } = this;
        const fresh = { format: 1, engine: VERSION, created: Date.now(), config, plan, adapter, tuning } as const;
        this.folder = await RunFolder.create(host.store, { ...fresh, collection: { training, heldOut } }, this.log);
        if (request.weights) await this.checkpoint();
      }
      this.enter('preparing', 'Preparing held-out crops');
      this.judge = await Judge.open(this.host.loader, collection, this.trainer);
      const lines = await this.judge.judgeBaselines(this.folder.rows);
      if (lines) {
        if (!this.folder.rows.some(({ kind }) => kind === 'baselines'))
          this.folder.add({ kind: 'baselines', ...lines });
        host.onEvent({ type: 'baselines', baselines: lines });
      }
      const first = await this.judge.picture(this.trainer, this.judge.shown, this.step);
      if (first) host.onEvent({ type: 'preview', preview: first }); // of the weights that the run begins with; not kept
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
          if (!(await this.lostDevices.isAnotherWorthIt(this.device)) || this.stopping) throw error;
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

  /** Measures kernels where that was not done before. A device that this costs is replaced, and the defaults are taken. */
  private async chooseKernels(): Promise<Tuning | undefined> {
    const { tuningCache } = this.host;
    if (!tuningCache) return undefined;
    const device = await this.host.device();
    try {
      const onMeasure = () => this.enter('preparing', 'Choosing kernels');
      return await chooseKernels(device, this.config, tuningCache, onMeasure);
    } catch (error) {
      if (!(error instanceof HysparkError)) throw error;
      this.log('warning', `Choosing kernels failed, and the usual ones are taken. ${error.message}`);
      return undefined;
    }
  }

  private async train(): Promise<void> {
    const { config } = this;
    const late: Submitted[] = [];
    this.enter('training');
    this.pace.restart(this.step, this.trainer.idleMs);
    let next = this.step;
    while (next < config.steps) {
      const { volumes, crops } = await this.feed.take(config.accumulate).catch(async (error) => {
        for (const submitted of late) await this.settle(submitted); // they are in the weights
        throw error;
      });
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

  private async boundary(): Promise<void> {
    await this.feed.nameSetAside();
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
    const { loss, gradientNorm, lossScale } = await losses;
    const { config, folder } = this;
    if (!Number.isFinite(loss) || !this.overflows.mayGoOn(gradientNorm, lossScale)) {
      const where = crops.map(({ hash, start }) => `${hash} at ${start.join(' ')}`).join(', ');
      throw new HysparkError('not-finite', {
        doing: `Training step ${step + 1}`,
        got: `a loss of ${loss} and a gradient of norm ${gradientNorm} on the crops ${where}`,
        advice: `The last good checkpoint is ${this.saved ? this.saved.path : 'none: the run had not got to one'}. Start from it with a lower learning rate`,
      });
    }
    this.step = step + 1;
    const { learningRate } = scheduleAt(scheduleOf(config), step);
    const { secondsPerStep, waitedShare } = this.pace.count(this.step, this.trainer.idleMs);
    const cropsPerSecond = (config.batch * config.accumulate) / secondsPerStep;
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
    const secondsLeft = secondsPerStep * (config.steps - this.step);
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
    const { config, feed, step } = this;
    await this.folder.flush(); // the metrics up to a checkpoint are there when it is
    const passes = step * config.accumulate;
    const lossScale = await this.trainer.lossScale();
    const state = { step, passes, seed: config.seed, lossScale, cursor: feed.cursor ?? null, configuration: config };
    const path = await this.folder.saveCheckpoint(step, config.keep, () =>
      writeCheckpoint(this.trainer.model.declare, state),
    );
    if (!path) return;
    this.saved = { step, path };
    this.lostDevices.saved();
    const best = (await this.folder.best())?.step === step;
    this.host.onEvent({ type: 'checkpoint', step, file: path, best });
  }

  /** Goes back to the newest checkpoint that can be read, or to the beginning. */
  private async restore(): Promise<void> {
    const found = await loadNewest(this.folder, this.trainer, this.log);
    if (!found) this.log('warning', 'There is no checkpoint that can be read: the run begins again.');
    this.saved = found;
    this.step = found?.step ?? 0;
    await this.folder.continueFrom(this.step);
    await this.feed.seek(found?.cursor);
    this.log('info', `Continuing from step ${this.step}.`);
  }

  /** Goes on from the newest checkpoint on a new device. */
  private async rebuild(): Promise<void> {
    const at = this.step;
    this.enter('preparing', 'The GPU was lost: building everything again');
    this.trainer.destroy();
    this.trainer = await Trainer.create(await this.host.device(), this.config, this.tuning);
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
    this.pace.restart(this.step, this.trainer.idleMs);
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

  private enter(phase: RunPhase, detail = '', error?: HysparkError): void {
    this.phase = phase;
    this.host.onEvent({ type: 'state', phase, detail, error: error?.toPlain() });
  }

  private readonly log: Log = (level, text) => {
    this.host.onEvent({ type: 'log', line: { time: Date.now(), level, text } });
  };
}

function unexpected(cause: unknown): HysparkError {
  const got = cause instanceof Error ? cause.message : String(cause);
  return new HysparkError('bad-state', { doing: 'Training', got, cause });
}

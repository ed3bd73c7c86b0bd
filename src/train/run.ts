/**
 * One run from its scans to its report: prepare, step, judge, picture, checkpoint; pause, stop, and go on after a lost device. A run that was
 * killed at any moment and resumed ends with the same bits as one that was not.
 */

import type { Batch } from '../data/loader.ts';
import type { FoundFile } from '../data/source.ts';
import type { LoaderService } from '../data/worker/loader-service.ts';
import { asError, type ErrorCode, HysparkError } from '../errors.ts';
import type { Device } from '../gpu/device.ts';
import { Interruption } from '../interruption.ts';
import type { Store } from '../store/store.ts';
import type { Tuning } from '../tape/op.ts';
import { writeCheckpoint } from './checkpoint.ts';
import { resolveConfig, scheduleOf } from './config.ts';
import { Feed, needSameScans } from './feed.ts';
import { RunFolder, readHead, VERSION } from './folder.ts';
import { Judge, previewPng } from './judge.ts';
import { Listener } from './listener.ts';
import { LostDevices } from './lost-devices.ts';
import { planRun } from './network.ts';
import { Overflows } from './overflows.ts';
import { Pace } from './pace.ts';
import { writeReport } from './report.ts';
import { scheduleAt } from './schedule.ts';
import { Steps } from './steps.ts';
import { type StepLosses, Trainer } from './trainer.ts';
import { chooseKernels } from './tuning.ts';
import type { CollectionReport, Preview, RunConfig, RunEvent, RunOptions, RunPhase, RunResult } from './types.ts';
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
  onEvent(event: RunEvent): unknown;
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

/** Steps whose losses are read late. */
const LATE = 3;
/** Milliseconds between writings of metrics. */
const FLUSH_MS = 2000;
/** Errors after which the weights are not fit to be kept, whatever their step. */
const SPOILING: readonly ErrorCode[] = ['not-finite', 'device-lost', 'gpu-validation', 'gpu-out-of-memory'];

export class Run {
  phase: RunPhase = 'idle';
  device!: Device;
  private config!: RunConfig;
  private tuning: Tuning | undefined;
  private folder!: RunFolder;
  private trainer!: Trainer;
  private judge!: Judge;
  private saved: { readonly step: number; readonly path: string } | undefined;
  private loss: number | undefined;
  private picture: string | undefined;
  private readonly stopped = new Interruption();
  private pausing = false;
  private wake: () => void = () => undefined;
  private readonly listener: Listener;
  private readonly steps = new Steps();
  private readonly pace = new Pace();
  private readonly lostDevices = new LostDevices();
  private readonly overflows = new Overflows((text) => this.listener.log('warning', text));
  private readonly feed: Feed;
  private flushed = 0;

  constructor(
    private readonly host: RunHost,
    private readonly request: RunRequest,
  ) {
    this.listener = new Listener((event) => host.onEvent(event));
    this.feed = new Feed(host.loader, (text) => this.listener.log('warning', text));
  }

  /**
   * Finds the scans, builds the plans, loads the checkpoint. Rejects with what is wrong, `aborted` when it was stopped
   * meanwhile. A new run's folder is then as it was; one that is resumed has lost at most metrics after its checkpoint.
   */
  async prepare(): Promise<void> {
    const { host, request } = this;
    this.enter('preparing', 'Finding scans');
    const head = request.resume ? await readHead(host.store) : undefined;
    const asked = head?.config ?? resolveConfig(request.options);
    const collection = await this.stopped.during(() =>
      this.feed.open(request.files, asked, request.cacheLimit, this.listener.counter()),
    );
    if (head) needSameScans(head.collection, collection);
    this.config = head?.config ?? resolveConfig(request.options, collection.training.length);
    this.listener.tell({ type: 'collection', collection });
    this.tuning = head ? head.tuning : await this.stopped.during(() => this.chooseKernels());
    for (;;) {
      const before = this.device;
      try {
        await this.build(collection);
        break;
      } catch (error) {
        this.trainer?.destroy();
        if (!head) await this.folder?.discard();
        // A second device that was not even had is no loss.
        if (this.stopped.happened || this.device === before || !(await this.lostDevices.isAnotherWorthIt(this.device)))
          throw error;
        this.listener.log('warning', 'The GPU was lost while the run was being prepared: once more on a new device.');
      }
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
          if (this.stopped.happened || !(await this.lostDevices.isAnotherWorthIt(this.device))) throw error;
          await this.rebuild();
        } catch (final) {
          failure = this.stopped.happened ? error : final; // stopped while being built again: what it was built for is the truth
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

  /** Ends a run under way after the steps in flight, with a checkpoint; one that is being prepared at once, with nothing kept. */
  stop(): void {
    this.stopped.happen(new HysparkError('aborted', { doing: 'Starting a run', got: 'a stop before its first step' }));
    this.wake();
  }

  async preview(index: number): Promise<Preview> {
    const preview = await this.judge.picture(this.trainer, index, this.steps.known);
    if (preview) return preview;
    throw new HysparkError('bad-argument', {
      doing: 'Making a picture',
      got: `crop ${index}`,
      need: `0 to ${this.judge.count - 1}`,
    });
  }

  /** The device's side: plans, memory, weights; then the folder, and what the run is judged by. */
  private async build(collection: CollectionReport): Promise<void> {
    const { host, request, config, tuning } = this;
    this.enter('preparing', 'Building pipelines');
    this.steps.forget();
    this.device = await this.stopped.during(() => host.device());
    const plan = planRun(config, { ...this.device.report, tuning });
    this.listener.tell({ type: 'plan', plan, config });
    const trainer = await this.createTrainer();
    if (request.resume) {
      this.folder = await RunFolder.open(host.store, this.listener.log);
      await this.restore();
    } else {
      if (request.weights)
        this.listener.log('info', await loadWeights(trainer, request.weights, request.partialWeights ?? false));
      this.steps.begin(0);
      const { training, heldOut } = collection;
      this.folder = await RunFolder.create(
        host.store,
        {
          format: 1,
          engine: VERSION,
          created: Date.now(),
          config,
          plan,
          adapter: this.device.report.name,
          tuning,
          collection: { training, heldOut },
          fromWeights: request.weights ? true : undefined,
        },
        this.listener.log,
      );
      if (request.weights) await this.checkpoint();
    }
    this.enter('preparing', 'Preparing held-out crops');
    this.judge = await this.stopped.during(() => Judge.open(host.loader, collection, trainer));
    const lines = await this.stopped.during(() => this.judge.judgeBaselines(this.folder.rows));
    if (lines) {
      if (!this.folder.rows.some(({ kind }) => kind === 'baselines')) this.folder.add({ kind: 'baselines', ...lines });
      this.listener.tell({ type: 'baselines', baselines: lines });
    }
    // Of the weights that the run begins with; not kept.
    const first = await this.stopped.during(() => this.judge.picture(trainer, this.judge.shown, this.steps.known));
    if (first) this.listener.tell({ type: 'preview', preview: first });
    if (collection.heldOut.length === 0)
      this.listener.log('warning', 'A single scan: nothing can be held out, so the run is judged on it.');
    this.listener.check();
    this.stopped.check();
  }

  private async createTrainer(): Promise<Trainer> {
    const creating = Trainer.create(this.device, this.config, this.tuning, this.listener.counter());
    try {
      this.trainer = await this.stopped.during(() => creating);
      return this.trainer;
    } catch (error) {
      creating.then((trainer) => trainer.destroy()).catch(() => undefined); // where it was stopped meanwhile
      throw error;
    }
  }

  /** Measures kernels where that was not done before. A device that this costs is replaced, and the defaults are taken. */
  private async chooseKernels(): Promise<Tuning | undefined> {
    const { tuningCache } = this.host;
    if (!tuningCache) return undefined;
    const onMeasure = () => this.enter('preparing', 'Choosing kernels');
    try {
      return await chooseKernels(await this.host.device(), this.config, tuningCache, onMeasure);
    } catch (cause) {
      if (!(cause instanceof HysparkError)) throw cause;
      this.listener.log('warning', `Choosing kernels failed, and the usual ones are taken. ${cause.message}`);
      return undefined;
    }
  }

  private async train(): Promise<void> {
    const { config, steps } = this;
    this.enter('training');
    this.pace.restart(steps.known, this.trainer.idleMs);
    while (steps.submitted < config.steps) {
      this.listener.check();
      if (this.stopped.happened && steps.submitted === steps.known) return;
      const { volumes, crops } = await this.feed.take(config.accumulate);
      await steps.submit(this.trainer, volumes, crops);
      const due = this.due(steps.submitted);
      await steps.settle(due ? 0 : LATE, this.accept);
      if (performance.now() - this.flushed > FLUSH_MS) await this.flush();
      if (!due) continue;
      await this.trainer.drain();
      await this.boundary();
      if (this.pausing && !this.stopped.happened) await this.hold();
      if (this.stopped.happened) return;
      this.device.check();
    }
  }

  /** Whether something is to be done after `step` steps that needs an empty queue. */
  private due(step: number): boolean {
    const { evaluateEvery, previewEvery, checkpointEvery, steps } = this.config;
    const regular = [evaluateEvery, previewEvery, checkpointEvery].some((every) => step % every === 0);
    return this.stopped.happened || this.pausing || regular || step === steps;
  }

  private async boundary(): Promise<void> {
    await this.feed.nameSetAside();
    const { evaluateEvery, previewEvery, checkpointEvery, steps } = this.config;
    const trainer = this.trainer;
    const step = this.steps.known;
    const end = step === steps;
    const on = (every: number) => step % every === 0 || end;
    // A checkpoint that is kept because it is the best must have been judged.
    if (on(evaluateEvery) || on(checkpointEvery)) {
      const evaluation = await this.judge.evaluate(trainer, step);
      if (evaluation) {
        if (!Number.isFinite(evaluation.loss))
          this.listener.log(
            'warning',
            `The held-out loss after step ${step} is not finite: these weights cannot be judged.`,
          );
        this.folder.add({ kind: 'evaluation', ...evaluation });
        this.listener.tell({ type: 'evaluation', evaluation, verdict: this.judge.verdict(this.folder.rows) });
      }
    }
    const preview = on(previewEvery) && (await this.judge.picture(trainer, this.judge.shown, step));
    if (preview) {
      const file = await this.folder.savePreview(step, previewPng(preview));
      this.picture = file ?? this.picture;
      this.listener.tell({ type: 'preview', preview: { ...preview, file } });
    }
    if (on(checkpointEvery) || this.pausing || this.stopped.happened) await this.checkpoint();
    await this.flush();
    await this.folder.saveStatus(this.status());
  }

  /** Checks a step's losses and tells of them. */
  private readonly accept = (step: number, { loss, gradientNorm, lossScale }: StepLosses, crops: Batch['crops']) => {
    const { config, folder } = this;
    if (!Number.isFinite(loss) || !this.overflows.mayGoOn(gradientNorm, lossScale)) {
      const where = crops.map(({ hash, start }) => `${hash} at ${start.join(' ')}`).join(', ');
      throw new HysparkError('not-finite', {
        doing: `Training step ${step + 1}`,
        got: `a loss of ${loss} and a gradient of norm ${gradientNorm} on the crops ${where}`,
        advice: `The last good checkpoint is ${this.saved ? this.saved.path : 'none: the run had not got to one'}. Start from it with a lower learning rate`,
      });
    }
    const done = step + 1;
    const { learningRate } = scheduleAt(scheduleOf(config), step);
    const { secondsPerStep, waitedShare } = this.pace.count(done, this.trainer.idleMs);
    const cropsPerSecond = (config.batch * config.accumulate) / secondsPerStep;
    const { epoch } = crops[0]!;
    const row = { step: done, loss, gradientNorm, learningRate, epoch, cropsPerSecond, waitedShare };
    folder.add({ kind: 'step', ...row });
    this.loss = loss;
    const secondsLeft = secondsPerStep * (config.steps - done);
    const plannedBytes = this.trainer.plan.bytes.peak;
    this.listener.tell({ type: 'progress', progress: { ...row, steps: config.steps, secondsLeft, plannedBytes } });
  };

  private async flush(): Promise<void> {
    await this.folder.flush();
    this.flushed = performance.now();
  }

  private async checkpoint(): Promise<void> {
    const { config, feed, trainer } = this;
    const step = this.steps.known;
    if (this.saved?.step === step) return;
    await this.folder.flush(); // the metrics up to a checkpoint are there when it is
    const passes = step * config.accumulate;
    const lossScale = await trainer.lossScale();
    const state = { step, passes, seed: config.seed, lossScale, cursor: feed.cursor ?? null, configuration: config };
    const path = await this.folder.saveCheckpoint(step, config.keep, () =>
      writeCheckpoint(trainer.model.declare, state),
    );
    if (!path) return;
    this.saved = { step, path };
    this.lostDevices.saved();
    const best = (await this.folder.best())?.step === step;
    this.listener.tell({ type: 'checkpoint', step, file: path, best });
  }

  /** Goes back to the newest checkpoint that can be read, or to the beginning where there was none yet. */
  private async restore(): Promise<void> {
    this.steps.forget();
    const found = await loadNewest(this.folder, this.trainer, this.listener.log);
    if (!found) this.listener.log('warning', 'There is no checkpoint yet: the run begins again.');
    this.saved = found;
    const step = found?.step ?? 0;
    await this.folder.continueFrom(step);
    await this.feed.seek(found?.cursor);
    this.steps.begin(step);
    this.loss = this.folder.rows.findLast((row) => row.kind === 'step')?.loss;
    this.picture = await this.folder.pictureUpTo(step);
    this.listener.log('info', `Continuing from step ${step}.`);
  }

  /** Goes on from the newest checkpoint on a new device. */
  private async rebuild(): Promise<void> {
    const at = this.steps.known;
    this.enter('preparing', 'The GPU was lost: building everything again');
    this.steps.forget();
    this.trainer.destroy();
    this.device = await this.host.device();
    await this.createTrainer();
    await this.restore();
    const from = this.steps.known;
    this.listener.log(
      'warning',
      `The GPU was lost after step ${at}; the run goes on from step ${from} on a new device.`,
    );
  }

  private async hold(): Promise<void> {
    this.enter('paused');
    await this.folder.saveStatus(this.status());
    await new Promise<void>((resolve) => {
      this.wake = resolve;
      if (!this.pausing || this.stopped.happened) resolve();
    });
    if (this.stopped.happened) return;
    this.enter('training');
    this.pace.restart(this.steps.known, this.trainer.idleMs);
  }

  private async finish(failure: unknown): Promise<RunResult> {
    const { config, folder, steps } = this;
    let error: HysparkError | undefined;
    if (failure !== undefined) {
      error = asError(failure, 'Training');
      this.listener.log('error', error.message);
    }
    if (error && !SPOILING.includes(error.code)) await this.keepWhatIsDone().catch((cause) => this.unsaved(cause));
    this.phase = error ? 'failed' : steps.known === config.steps ? 'finished' : 'stopped';
    const result: RunResult = {
      id: this.host.id,
      phase: this.phase as RunResult['phase'],
      step: steps.known,
      steps: config.steps,
      loss: this.loss,
      evaluation: this.judge.latest(folder.rows),
      baselines: this.judge.lines,
      verdict: this.judge.verdict(folder.rows),
      checkpoint: this.saved?.path,
      best: (await folder.best())?.path,
      preview: this.picture,
      error: error?.toPlain(),
    };
    const report = await this.writeEnd(result).catch((cause) => this.unsaved(cause));
    this.trainer.destroy();
    this.enter(this.phase, '', error);
    return { ...result, report };
  }

  /** A run that fails keeps the steps whose losses come in yet. */
  private async keepWhatIsDone(): Promise<void> {
    await this.steps.settle(0, this.accept);
    if (!this.steps.areInWeights) return;
    await this.trainer.drain();
    await this.checkpoint();
  }

  private async writeEnd(result: RunResult): Promise<string | undefined> {
    const { folder } = this;
    await folder.flush();
    await folder.saveStatus({ ...this.status(), error: result.error && HysparkError.fromPlain(result.error).message });
    return writeReport(folder, result, this.device.report.name);
  }

  private unsaved(cause: unknown): undefined {
    this.listener.log(
      'warning',
      `Something of the run's end could not be kept. ${asError(cause, 'Ending the run').message}`,
    );
  }

  private status() {
    const { rows } = this.folder;
    return {
      phase: this.phase,
      step: this.steps.known,
      adapter: this.device.report.name,
      loss: this.loss,
      heldOutLoss: this.judge.latest(rows)?.loss,
      verdict: this.judge.verdict(rows).sentence,
    };
  }

  private enter(phase: RunPhase, detail = '', error?: HysparkError): void {
    this.phase = phase;
    this.listener.tell({ type: 'state', phase, detail, error: error?.toPlain() });
  }
}

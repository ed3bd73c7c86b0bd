/** The engine as the page sees it: device, the run under way with all it told, and the stored runs. */

import { HysparkError } from '../errors.ts';
import {
  type AdapterReport,
  type CollectionReport,
  type EngineClient,
  isLive,
  type LogLine,
  newRunName,
  type PlanReport,
  type Progress,
  type RunConfig,
  type RunEvent,
  type RunListing,
  type RunPhase,
  type StartRequest,
  startEngine,
  type Verdict,
} from '../index.ts';
import { CurveData } from './curves-data.ts';
import { PreviewHistory } from './previews.ts';
import { remember, remembered } from './remember.ts';
import { type Count, sentence } from './text.ts';
import { Model } from './view.ts';
import { keepAwake } from './wake-lock.ts';

export type Command = 'pause' | 'resume' | 'stop';

/** Of the run that is under way, or was last. */
export interface CurrentRun {
  readonly id: string;
  phase: RunPhase;
  detail: string;
  /** What the person asked for and the engine has not done yet. */
  asked?: Command;
  /** Whether the engine has the run's folder: from then on stopping leaves something to continue. */
  started: boolean;
  error?: string;
  /** Whether there are weights to take. */
  saved: boolean;
  config?: RunConfig;
  plan?: PlanReport;
  collection?: CollectionReport;
  /** How much of `detail` is done. */
  preparation?: Count;
  progress?: Progress;
  verdict?: Verdict;
  curves: CurveData;
  readonly previews: PreviewHistory;
  readonly log: LogLine[];
  /** Until when its warnings were put away. */
  warningsRead: number;
}

/** Redraws a second while steps come in. */
const REDRAW_MS = 250;
const MOST_LOG_LINES = 1000;

export class Session extends Model {
  engine!: EngineClient;
  /** Why there is no engine any more. */
  engineProblem: string | undefined;
  adapter: AdapterReport | undefined;
  /** Why no device could be opened. */
  deviceProblem: string | undefined;
  run: CurrentRun | undefined;
  /** Newest first; undefined until they were read. */
  stored: readonly RunListing[] | undefined;
  storedProblem: string | undefined;
  /** What prepared scans take of the storage. */
  preparedBytes = 0;

  readonly #newEngine: () => EngineClient;
  #redraw: ReturnType<typeof setTimeout> | undefined;
  /** One list after the other, so that an older one never replaces a newer one. */
  #listing = Promise.resolve();

  get live(): boolean {
    return this.run !== undefined && isLive(this.run.phase);
  }

  /** The newest run of an earlier visit that did not end by itself, unless the person has put the offer away. */
  get resumable(): RunListing | undefined {
    if (this.live) return undefined;
    const newest = this.stored?.find((run) => run.phase === 'interrupted' && hasCheckpoint(run));
    return newest?.id === remembered().dismissedRun ? undefined : newest;
  }

  /** The newest warning that was not put away: a full disk, a lost GPU, scans set aside. */
  get warning(): LogLine | undefined {
    const { run } = this;
    return run?.log.findLast(({ level, time }) => level === 'warning' && time > run.warningsRead);
  }

  constructor(newEngine: () => EngineClient = startEngine) {
    super();
    this.#newEngine = newEngine;
    this.#startEngine();
    // Another tab may have trained meanwhile.
    document.addEventListener('visibilitychange', () => {
      if (document.visibilityState === 'visible' && this.stored) void this.list();
    });
  }

  async open(): Promise<void> {
    this.deviceProblem = undefined;
    try {
      this.adapter = await this.engine.open();
    } catch (error) {
      if (!this.engineProblem) this.deviceProblem = sentence(error);
    }
    this.changed();
    await this.list();
  }

  /** After the engine has died: another one. */
  async restart(): Promise<void> {
    this.engine.terminate();
    this.#startEngine();
    this.changed();
    await this.open();
  }

  list(): Promise<void> {
    this.#listing = this.#listing.then(() => this.#readList());
    return this.#listing;
  }

  /** Starts or continues a run. What goes wrong is said in `run.error`. */
  async start(request: StartRequest): Promise<void> {
    if (this.live) return;
    void navigator.storage.persist?.(); // so that the browser does not make room with our runs
    if (request.resume && request.resume === remembered().dismissedRun) remember({ dismissedRun: undefined });
    // Named here, so that the page of runs knows it for ours as soon as it has a folder.
    const id = request.resume ?? request.id ?? newRunName();
    const run: CurrentRun = {
      id,
      phase: 'preparing',
      detail: '',
      started: false,
      saved: this.stored?.some((each) => each.id === request.resume && hasCheckpoint(each)) ?? false,
      curves: new CurveData(),
      previews: new PreviewHistory(),
      log: [],
      warningsRead: 0,
    };
    this.run = run;
    this.#setPhase(run, 'preparing');
    try {
      // The engine is asked before anything is waited for: from then on it can be told to stop.
      const started = this.engine.start({ ...request, id }, (event) => this.#told(run, event));
      if (request.resume) void this.#readEarlier(run);
      await started;
      run.started = true;
      void this.#follow(run);
    } catch (error) {
      const isCancelled = error instanceof HysparkError && error.code === 'aborted';
      if (isCancelled) this.run = undefined;
      else run.error = startProblem(error, request);
      this.#setPhase(run, isCancelled ? 'stopped' : 'failed');
    }
    await this.list();
  }

  /** Asks for something that the run under way does after the steps in flight. */
  async command(name: Command): Promise<void> {
    const { run } = this;
    if (!run || run.asked) return;
    run.asked = name;
    this.changed();
    try {
      await this.engine[name]();
    } catch (error) {
      run.asked = undefined;
      run.error ??= sentence(error);
      this.changed();
    }
  }

  /** Puts the warning away, and those before it; they stay in the log. */
  dismissWarning(): void {
    if (this.run && this.warning) this.run.warningsRead = this.warning.time;
    this.changed();
  }

  /** Leaves the last run's page, for a new one. */
  dismiss(): void {
    if (!this.live) this.run = undefined;
    this.changed();
  }

  /** Puts the offer to continue this run away; it stays among the runs. */
  dismissOffer(run: RunListing): void {
    remember({ dismissedRun: run.id });
    this.changed();
  }

  async curvesOf(id: string): Promise<CurveData> {
    return CurveData.fromMetrics(await (await this.engine.readRunFile(id, 'metrics.jsonl')).text());
  }

  async remove(id: string): Promise<void> {
    await this.engine.deleteRun(id);
    if (this.run?.id === id) this.run = undefined;
    await this.list();
  }

  async clearPrepared(): Promise<void> {
    await this.engine.clearCache();
    await this.list();
  }

  #startEngine(): void {
    const engine = this.#newEngine();
    this.engine = engine;
    this.engineProblem = undefined;
    void engine.died.then((why) => {
      if (engine !== this.engine) return;
      this.engineProblem = `The engine is not running: ${why.replace(/\.$/, '')}.`;
      this.adapter = undefined;
      // The last list may say that it has a run under way.
      this.stored = this.stored?.map((each) =>
        each.id === this.run?.id && isLive(each.phase) ? { ...each, phase: 'interrupted' } : each,
      );
      this.changed();
    });
  }

  async #readList(): Promise<void> {
    try {
      this.stored = await this.engine.listRuns();
      this.preparedBytes = await this.engine.cacheBytes();
      this.storedProblem = undefined;
    } catch (error) {
      this.stored ??= [];
      this.storedProblem = sentence(error);
    }
    this.changed();
  }

  /** The curves of a run before it was continued. It does without where they cannot be read, or its first step is there sooner. */
  async #readEarlier(run: CurrentRun): Promise<void> {
    const curves = await this.curvesOf(run.id).catch(() => undefined);
    if (!curves || run.curves.steps.length > 0) return;
    curves.baselines ??= run.curves.baselines;
    run.curves = curves;
    this.changed();
  }

  /** Waits for the end of a run. Only an engine that died does not tell it: then the run was interrupted, as by a crash of the tab. */
  async #follow(run: CurrentRun): Promise<void> {
    try {
      const result = await this.engine.finished();
      if (result.error && !run.error) run.error = HysparkError.fromPlain(result.error).message;
      run.verdict = result.verdict;
      this.#setPhase(run, result.phase);
    } catch (error) {
      run.error = sentence(error);
      this.#setPhase(run, 'interrupted');
    }
    await this.list();
  }

  #told(run: CurrentRun, event: RunEvent): void {
    switch (event.type) {
      case 'state':
        run.detail = event.detail;
        run.preparation = undefined;
        if (event.detail) run.log.push({ time: Date.now(), level: 'info', text: `${event.detail}.` });
        if (event.error) run.error = HysparkError.fromPlain(event.error).message;
        this.#setPhase(run, event.phase);
        return;
      case 'preparation':
        run.preparation = event;
        break;
      case 'collection':
        run.collection = event.collection;
        break;
      case 'plan':
        run.plan = event.plan;
        run.config = event.config;
        break;
      case 'baselines':
        run.curves.baselines = event.baselines;
        break;
      case 'progress':
        run.progress = event.progress;
        run.curves.addStep(event.progress);
        break;
      case 'evaluation':
        run.curves.addEvaluation(event.evaluation);
        run.verdict = event.verdict;
        break;
      case 'preview':
        run.previews.add(event.preview);
        break;
      case 'log':
        run.log.push(event.line);
        if (run.log.length > MOST_LOG_LINES) run.log.shift();
        break;
      case 'checkpoint':
        run.saved = true;
        run.log.push({ time: Date.now(), level: 'info', text: `Checkpoint at step ${event.step}.` });
        break;
    }
    this.#redraw ??= setTimeout(() => {
      this.#redraw = undefined;
      this.changed();
    }, REDRAW_MS);
  }

  #setPhase(run: CurrentRun, phase: RunPhase): void {
    const { asked } = run;
    const isDone = (asked === 'pause' && phase === 'paused') || (asked === 'resume' && phase === 'training');
    if (isDone || !isLive(phase)) run.asked = undefined;
    run.phase = phase;
    keepAwake(phase === 'preparing' || phase === 'training');
    this.changed();
  }
}

export function hasCheckpoint({ files }: RunListing): boolean {
  return files.some(({ path }) => path.startsWith('checkpoints/'));
}

export function canResume(run: RunListing): boolean {
  return ['interrupted', 'stopped', 'failed'].includes(run.phase) && hasCheckpoint(run);
}

/** Why a run did not start, with what the page can say about scans and weights that do not fit. */
function startProblem(error: unknown, { resume, weights }: StartRequest): string {
  const text = sentence(error);
  if (!(error instanceof HysparkError) || error.code !== 'mismatch') return text;
  if (resume) return `${text} A scan’s name in runs stands beside its pictures, as “Known to runs as”.`;
  if (!weights) return text;
  return `${text} The weights under “Start from” need the network and crop that they were trained with; “take what fits” leaves out the others.`;
}

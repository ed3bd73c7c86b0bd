/** The engine as the page sees it: device, the run under way with all it told, and the stored runs. */

import { HysparkError } from '../errors.ts';
import {
  type AdapterReport,
  type Baselines,
  type CollectionReport,
  type EngineService,
  type LogLine,
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
import { sentence } from './text.ts';
import { Model } from './view.ts';
import { keepAwake } from './wake-lock.ts';

/** Of the run that is under way, or was last. */
export interface CurrentRun {
  id: string;
  phase: RunPhase;
  detail: string;
  error?: string;
  config?: RunConfig;
  plan?: PlanReport;
  collection?: CollectionReport;
  baselines?: Baselines;
  progress?: Progress;
  verdict?: Verdict;
  readonly curves: CurveData;
  readonly previews: PreviewHistory;
  log: LogLine[];
}

/** Redraws a second while steps come in. */
const REDRAW_MS = 250;
const MOST_LOG_LINES = 1000;

export class Session extends Model {
  readonly engine: EngineService = startEngine();
  adapter: AdapterReport | undefined;
  /** Why no device could be opened. */
  deviceProblem: string | undefined;
  run: CurrentRun | undefined;
  /** Newest first; undefined until they were read. */
  stored: readonly RunListing[] | undefined;
  storedProblem: string | undefined;

  #redraw: ReturnType<typeof setTimeout> | undefined;

  get live(): boolean {
    return this.run !== undefined && isLive(this.run.phase);
  }

  /** A run of an earlier visit that did not end by itself, the newest. */
  get resumable(): RunListing | undefined {
    return this.live ? undefined : this.stored?.find((run) => canResume(run) && run.phase !== 'stopped');
  }

  constructor() {
    super();
    // Another tab may have trained meanwhile.
    document.addEventListener('visibilitychange', () => {
      if (document.visibilityState === 'visible' && this.stored) void this.list();
    });
  }

  async open(): Promise<void> {
    try {
      this.adapter = await this.engine.open();
      this.deviceProblem = undefined;
    } catch (error) {
      this.deviceProblem = sentence(error);
    }
    this.changed();
    await this.list();
  }

  async list(): Promise<void> {
    try {
      this.stored = await this.engine.listRuns();
      this.storedProblem = undefined;
    } catch (error) {
      this.stored ??= [];
      this.storedProblem = sentence(error);
    }
    this.changed();
  }

  /** Starts or continues a run. What goes wrong is said in `run.error`. */
  async start(request: StartRequest): Promise<void> {
    if (this.live) return;
    void navigator.storage.persist?.(); // so that the browser does not make room with our runs
    const id = request.resume ?? request.id ?? '';
    const curves = request.resume ? await this.curvesOf(request.resume).catch(() => new CurveData()) : new CurveData();
    const { baselines } = curves;
    const previews = new PreviewHistory();
    const run: CurrentRun = { id, phase: 'preparing', detail: '', curves, previews, log: [], baselines };
    this.run = run;
    this.changed();
    try {
      // The engine lives in a worker: a function goes there as a Comlink proxy, made by the client.
      run.id = await this.engine.start(request, (event) => this.#told(run, event));
      void this.engine.finished().then((result) => {
        if (result.error && !run.error) run.error = HysparkError.fromPlain(result.error).message;
        run.verdict = result.verdict;
        this.#setPhase(run, result.phase);
        void this.list();
      });
    } catch (error) {
      run.error = sentence(error);
      this.#setPhase(run, 'failed');
    }
    await this.list();
  }

  /** `pause`, `resume` or `stop` of the run under way. */
  async command(name: 'pause' | 'resume' | 'stop'): Promise<void> {
    const { run } = this;
    if (!run) return;
    try {
      await this.engine[name]();
    } catch (error) {
      run.error = sentence(error);
      this.changed();
    }
    await this.list();
  }

  /** Leaves the last run's page, for a new one. */
  dismiss(): void {
    if (!this.live) this.run = undefined;
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

  #told(run: CurrentRun, event: RunEvent): void {
    switch (event.type) {
      case 'state':
        run.detail = event.detail;
        if (event.detail) run.log.push({ time: Date.now(), level: 'info', text: `${event.detail}.` });
        if (event.error) run.error = HysparkError.fromPlain(event.error).message;
        this.#setPhase(run, event.phase);
        return;
      case 'collection':
        run.collection = event.collection;
        break;
      case 'plan':
        run.plan = event.plan;
        run.config = event.config;
        break;
      case 'baselines':
        run.baselines = event.baselines;
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
        run.log.push({ time: Date.now(), level: 'info', text: `Checkpoint at step ${event.step}.` });
        break;
    }
    this.#redraw ??= setTimeout(() => {
      this.#redraw = undefined;
      this.changed();
    }, REDRAW_MS);
  }

  #setPhase(run: CurrentRun, phase: RunPhase): void {
    run.phase = phase;
    keepAwake(phase === 'preparing' || phase === 'training');
    this.changed();
  }
}

export function isLive(phase: RunPhase): boolean {
  return phase === 'preparing' || phase === 'training' || phase === 'paused';
}

export function canResume({ phase, files }: RunListing): boolean {
  const left = phase === 'interrupted' || phase === 'stopped' || phase === 'failed';
  return left && files.some(({ path }) => path.startsWith('checkpoints/'));
}

/** The engine behind `EngineService`: one device, one run at a time, a store of runs. The same in a worker and called directly. */

import { VOLUMES } from '../data/cache.ts';
import type { LoaderService } from '../data/worker/loader-service.ts';
import { HysparkError } from '../errors.ts';
import type { Bytes } from '../formats/bytes.ts';
import { type Device, openDevice } from '../gpu/device.ts';
import { type Store, splitPath, storeIn } from '../store/store.ts';
import { resolveConfig } from '../train/config.ts';
import { bestOf, checkpointsOf, readHead, readMetrics, readStatus } from '../train/folder.ts';
import { planRun } from '../train/network.ts';
import { Run } from '../train/run.ts';
import { measureRun } from '../train/trainer.ts';
import { chooseKernels } from '../train/tuning.ts';
import type { RunConfig, RunListing, RunPhase, RunResult, WeightsFormat } from '../train/types.ts';
import { exportCheckpoint, reconstruct } from '../train/weights.ts';
import type { AdapterReport, EngineOptions, EngineService, OnRunEvent, StartRequest } from './protocol.ts';
import { isLive, newRunName } from './runs.ts';

/** What differs between a browser and Node. */
export interface EngineHost {
  /** A folder for each run. */
  readonly runs: Store;
  /** What can be made again: which kernels are fast here. */
  readonly cache: Store;
  /** Starts a loader of its own; `end` stops whatever it runs in. */
  startLoader(): { readonly service: LoaderService; end(): void };
  /** Takes a run for this process alone, or says who has it. Error `storage` where it cannot be taken. */
  lock(run: string): Promise<RunLock>;
  /** Who has a run, this process included; undefined where nobody has. */
  holder(run: string): Promise<string | undefined>;
}

export type RunLock = { release(): void } | { readonly holder: string; readonly advice?: string };

const FORMATS: readonly WeightsFormat[] = ['checkpoint', 'pth', 'encoder'];
/** 8 GiB of prepared scans. */
const CACHE_LIMIT = 8 * 2 ** 30;

interface Current {
  readonly id: string;
  readonly run: Run;
  readonly result: Promise<RunResult>;
}

/** A run that is being prepared. */
interface Starting {
  readonly id: string;
  run?: Run;
  stopped: boolean;
  /** Resolves when it has begun, rejects when it will not. */
  prepared?: Promise<Current>;
}

export class Engine implements EngineService {
  private options: EngineOptions = {};
  private opening: Promise<Device> | undefined;
  private current: Current | undefined;
  private starting: Starting | undefined;
  private disposed = false;

  constructor(private readonly host: EngineHost) {}

  async open(options: EngineOptions = {}): Promise<AdapterReport> {
    this.options = options;
    return (await this.device()).report;
  }

  async plan(options: EngineArguments<'plan'>[0]) {
    return planRun(resolveConfig(options), (await this.device()).report);
  }

  async measure(options: EngineArguments<'measure'>[0]) {
    this.requireIdle('Measuring');
    const [device, config] = [await this.device(), resolveConfig(options)];
    return measureRun(device, config, this.tuningCache && (await chooseKernels(device, config, this.tuningCache)));
  }

  async start(request: StartRequest, onEvent: OnRunEvent): Promise<string> {
    this.requireIdle('Starting a run');
    const id = request.resume ?? request.id ?? newRunName();
    const starting: Starting = { id, stopped: false };
    this.starting = starting;
    try {
      starting.prepared = this.prepare(id, request, onEvent, starting);
      this.current = await starting.prepared;
      return id;
    } finally {
      this.starting = undefined;
    }
  }

  private async prepare(id: string, request: StartRequest, onEvent: OnRunEvent, starting: Starting): Promise<Current> {
    if (splitPath(id).length > 1) {
      throw new HysparkError('bad-argument', {
        doing: 'Starting a run',
        got: `the name "${id}"`,
        need: 'one without slashes',
      });
    }
    const store = storeIn(this.host.runs, id);
    const lock = await this.host.lock(id);
    if (!('release' in lock)) throw elsewhere(`Starting run "${id}"`, lock);
    let loader: ReturnType<EngineHost['startLoader']> | undefined;
    const end = async () => {
      await loader?.service.close().catch(() => undefined);
      loader?.end();
      lock.release();
    };
    try {
      loader = this.host.startLoader();
      const { service } = loader;
      const run = new Run(
        { id, store, loader: service, device: () => this.device(), tuningCache: this.tuningCache, onEvent },
        {
          files: request.files,
          options: request.options ?? {},
          resume: request.resume !== undefined,
          cacheLimit: this.options.cacheLimit ?? CACHE_LIMIT,
          weights: request.weights,
          partialWeights: request.partialWeights,
        },
      );
      starting.run = run;
      if (starting.stopped) run.stop();
      await run.prepare();
      return { id, run, result: run.run().finally(end) };
    } catch (error) {
      await end();
      throw error;
    }
  }

  finished(): Promise<RunResult> {
    return this.needCurrent('Waiting for a run').result;
  }

  async pause(): Promise<void> {
    this.needCurrent('Pausing').run.pause();
  }

  async resume(): Promise<void> {
    this.needCurrent('Resuming').run.resume();
  }

  async stop(): Promise<RunResult | undefined> {
    if (this.starting) {
      this.starting.stopped = true;
      this.starting.run?.stop();
      return (await this.starting.prepared?.catch(() => undefined))?.result; // it may have begun just then
    }
    const { run, result } = this.needCurrent('Stopping');
    run.stop();
    return result;
  }

  async preview(index: number) {
    const { run } = this.needCurrent('Making a picture');
    if (!isLive(run.phase)) {
      throw new HysparkError('bad-state', {
        doing: 'Making a picture',
        got: `a run that is ${run.phase}`,
        need: 'one that is training or paused',
      });
    }
    return run.preview(index);
  }

  async listRuns(): Promise<RunListing[]> {
    const byRun = new Map<string, { path: string; size: number }[]>();
    for (const { path, size } of await this.host.runs.list()) {
      const slash = path.indexOf('/');
      if (slash < 0) continue;
      const id = path.slice(0, slash);
      byRun.set(id, [...(byRun.get(id) ?? []), { path: path.slice(slash + 1), size }]);
    }
    const listings: RunListing[] = [];
    for (const [id, files] of byRun) {
      const listing = await this.listing(id, files).catch(() => undefined); // a folder of something else
      if (listing) listings.push(listing);
    }
    return listings.sort((a, b) => b.created - a.created);
  }

  async readRunFile(run: string, path: string): Promise<Blob> {
    return this.host.runs.open(`${run}/${path}`);
  }

  async exportWeights(run: string, format: WeightsFormat, which: 'best' | 'latest' = 'best'): Promise<Blob> {
    const parts: Bytes[] = [];
    const { chunks, file } = await this.weightsOf(run, format, which);
    if (file) return file;
    for await (const chunk of chunks!) parts.push(chunk);
    return new Blob(parts);
  }

  async configOf(run: string): Promise<RunConfig> {
    return (await readHead(storeIn(this.host.runs, run))).config;
  }

  async reconstruct(run: string, volume: Float32Array, seed = 1) {
    const config = await this.configOf(run);
    const { file } = await this.weightsOf(run, 'checkpoint');
    return reconstruct(await this.device(), config, file!, volume, seed);
  }

  /** As `exportWeights`, chunk by chunk for files that are not to be held in memory; `file` where the checkpoint itself is asked for. */
  async weightsOf(
    run: string,
    format: WeightsFormat,
    which: 'best' | 'latest' = 'best',
  ): Promise<{ readonly chunks?: AsyncGenerator<Bytes>; readonly file?: Blob; readonly step: number }> {
    const store = storeIn(this.host.runs, run);
    if (!FORMATS.includes(format)) {
      const need = FORMATS.join(', ');
      throw new HysparkError('bad-argument', { doing: `Exporting run "${run}"`, got: `format "${format}"`, need });
    }
    const { config } = await readHead(store);
    const stored = checkpointsOf(await store.list('checkpoints/'));
    const best = which === 'best' ? bestOf(stored, await readMetrics(store)) : undefined;
    const chosen = best ?? stored[0];
    if (!chosen) {
      throw new HysparkError('bad-state', {
        doing: `Exporting run "${run}"`,
        got: 'no checkpoint',
        need: 'a run that has got to its first one',
      });
    }
    const file = await store.open(chosen.path);
    if (format === 'checkpoint') return { file, step: chosen.step };
    return { chunks: exportCheckpoint(await this.device(), config, file, format), step: chosen.step };
  }

  async deleteRun(run: string): Promise<void> {
    if (this.current?.id === run && isLive(this.current.run.phase)) {
      throw new HysparkError('bad-state', { doing: `Deleting run "${run}"`, got: 'a run under way', need: 'stop it' });
    }
    await readHead(storeIn(this.host.runs, run)); // never a folder that is no run
    const lock = await this.host.lock(run);
    if (!('release' in lock)) throw elsewhere(`Deleting run "${run}"`, lock);
    try {
      await this.host.runs.remove(run);
    } finally {
      lock.release();
    }
  }

  async cacheBytes(): Promise<number> {
    return (await this.host.cache.list(`${VOLUMES}/`)).reduce((sum, { size }) => sum + size, 0);
  }

  async clearCache(): Promise<void> {
    this.requireIdle('Removing prepared scans');
    await this.host.cache.remove(VOLUMES);
  }

  async dispose(): Promise<void> {
    this.disposed = true;
    if (this.starting || this.current) await this.stop().catch(() => undefined);
    const device = await this.opening?.catch(() => undefined);
    this.opening = undefined;
    device?.dispose();
    this.current = undefined;
  }

  private get tuningCache(): Store | undefined {
    return this.options.tune === false ? undefined : this.host.cache;
  }

  /** A device that works: the one in use, or a new one after it was lost, the same for all who ask. */
  async device(): Promise<Device> {
    const { opening } = this;
    const before = await opening?.catch(() => undefined);
    if (this.disposed) {
      throw new HysparkError('bad-state', {
        doing: 'Using the engine',
        got: 'one that was disposed',
        need: 'a new one',
      });
    }
    if (before && !isLost(before)) return before;
    if (this.opening !== opening) return this.device(); // somebody has opened another meanwhile
    before?.dispose();
    const { adapter, powerPreference, experimental } = this.options;
    this.opening = openDevice({ adapter, powerPreference, experimental });
    return this.opening;
  }

  private async listing(id: string, files: RunListing['files']): Promise<RunListing> {
    const store = storeIn(this.host.runs, id);
    const { created, config, adapter } = await readHead(store);
    const status = await readStatus(store);
    const live = this.current?.id === id && isLive(this.current.run.phase);
    const phase = live ? this.current!.run.phase : await this.phaseOf(id, status?.phase);
    return {
      id,
      created,
      phase,
      step: status?.step ?? 0,
      config,
      adapter: status?.adapter ?? adapter,
      loss: status?.loss,
      heldOutLoss: status?.heldOutLoss,
      verdict: status?.verdict ?? '',
      error: phase === 'failed' ? status?.error : undefined,
      bytes: files.reduce((sum, { size }) => sum + size, 0),
      files,
    };
  }

  /** The phase of a run that is not this engine's: `told` is what its folder says, which may be old or of a process that died. */
  private async phaseOf(id: string, told: RunPhase = 'interrupted'): Promise<RunPhase> {
    if (told === 'finished') return told;
    if (this.starting?.id === id) return 'preparing';
    const holder = await this.host.holder(id).catch(() => undefined);
    if (holder !== undefined) return isLive(told) ? told : 'preparing'; // another tab or program has it under way
    return isLive(told) ? 'interrupted' : told;
  }

  private needCurrent(doing: string): Current {
    if (this.current) return this.current;
    throw new HysparkError('bad-state', { doing, got: 'no run', need: 'start one first' });
  }

  private requireIdle(doing: string): void {
    if (!this.starting && !(this.current && isLive(this.current.run.phase))) return;
    throw new HysparkError('bad-state', { doing, got: 'a run under way', need: 'stop it first' });
  }
}

type EngineArguments<K extends keyof EngineService> = Parameters<EngineService[K]>;

function elsewhere(doing: string, { holder, advice }: Exclude<RunLock, { release(): void }>): HysparkError {
  const got = `a run that ${holder} is writing`;
  return new HysparkError('bad-state', { doing, got, advice: advice ?? 'Stop it there first' });
}

function isLost(device: Device): boolean {
  try {
    device.check();
    return false;
  } catch {
    return true;
  }
}

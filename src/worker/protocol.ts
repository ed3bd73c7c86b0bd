/** What the engine does for whoever holds it, as types: called directly, or from a page through Comlink. */

import type { FoundFile } from '../data/source.ts';
import type { AdapterReport, Experimental } from '../gpu/adapter.ts';
import type {
  PlanReport,
  Preview,
  Reconstruction,
  RunConfig,
  RunEvent,
  RunListing,
  RunOptions,
  RunResult,
  WeightsFormat,
} from '../train/types.ts';

export type * from '../train/types.ts';
export type { AdapterReport, Experimental, FoundFile };

export interface EngineOptions {
  /** Node only: `lavapipe` or `swiftshader`; by default the system's first adapter. */
  readonly adapter?: string;
  readonly powerPreference?: 'high-performance' | 'low-power';
  /** Bytes that prepared scans may take in the cache. Default 8 GiB. */
  readonly cacheLimit?: number;
  /**
   * On a real GPU, measure before a first run which kernels are fastest there (two seconds at most) and remember it. Default true. Runs keep
   * their kernels when they are resumed; two runs of one seed have equal bits if they have equal kernels.
   */
  readonly tune?: boolean;
  readonly experimental?: Experimental;
}

export interface StartRequest {
  /**
   * Files and folders as found (`filesFromInput`, `filesFromDrop`, `findFiles`). Needed to resume as well: what is kept
   * of scans, prepared volumes, goes when room is needed.
   */
  readonly files: readonly FoundFile[];
  readonly options?: RunOptions;
  /** Name of the run's folder. Default from the time. */
  readonly id?: string;
  /** Continue this stored run; its own options hold. */
  readonly resume?: string;
  /** Weights to start from: a checkpoint of ours or a `.pth`, of the full model or the encoder. */
  readonly weights?: Blob;
  /** Take the weights that fit and leave the others as drawn, instead of failing. */
  readonly partialWeights?: boolean;
}

export type OnRunEvent = (event: RunEvent) => void;

/** Errors are `HysparkError`, whole on both sides. One run at a time. */
export interface EngineService {
  /** Opens the device; the first call. Again after a lost device is harmless. Error `no-adapter` with what to do. */
  open(options?: EngineOptions): Promise<AdapterReport>;
  /** What these options need, and whether that fits. Errors: `bad-argument` for options out of range. */
  plan(options: RunOptions): Promise<PlanReport>;
  /** Crops a second and seconds a step over a few steps on noise. Not while a run is under way (`bad-state`). */
  measure(options: RunOptions): Promise<{ readonly cropsPerSecond: number; readonly secondsPerStep: number }>;
  /**
   * Starts a run and resolves with its id once it is under way (scans found, pipelines built). What follows comes through `onEvent`.
   * Rejects with what is wrong before that (`aborted` after `stop`); a new run's folder is then gone, one that was resumed
   * as it was but for metrics after its checkpoint.
   */
  start(request: StartRequest, onEvent: OnRunEvent): Promise<string>;
  /** Resolves when the run has ended, finished, stopped or failed, and may be resumed. Never rejects for what went wrong in the run. */
  finished(): Promise<RunResult>;
  /** Pauses after the steps in flight, with a checkpoint written. */
  pause(): Promise<void>;
  /** Goes on after `pause`. */
  resume(): Promise<void>;
  /**
   * Stops after the steps in flight; writes a checkpoint and the report. A run that is being prepared ends at once, with nothing kept: `start` then
   * rejects with `aborted`, and this resolves with undefined.
   */
  stop(): Promise<RunResult | undefined>;
  /** Evaluation crop `index` by the weights of now; while a run is training or paused. */
  preview(index: number): Promise<Preview>;
  listRuns(): Promise<RunListing[]>;
  /** A file of a run folder, e.g. `report.html`, `previews/000100.png`. */
  readRunFile(run: string, path: string): Promise<Blob>;
  /** Weights of the run's best checkpoint, or of the latest. */
  exportWeights(run: string, format: WeightsFormat, which?: 'best' | 'latest'): Promise<Blob>;
  configOf(run: string): Promise<RunConfig>;
  /**
   * What the run's best checkpoint makes of a crop [crop, crop, crop] in 0..1 (x, y, z with z fastest), under the mask that follows from
   * `seed`: the loss, the crop with NaN where hidden, the reconstruction.
   */
  reconstruct(run: string, volume: Float32Array, seed?: number): Promise<Reconstruction>;
  /** Not while it is under way (`bad-state`). */
  deleteRun(run: string): Promise<void>;
  /** Bytes of prepared scans that are kept for the next run. */
  cacheBytes(): Promise<number>;
  /** Removes them. Not while a run is under way (`bad-state`). */
  clearCache(): Promise<void>;
  /** Stops what is under way, as `stop` does, and frees the GPU. Nothing can be called afterwards. */
  dispose(): Promise<void>;
}

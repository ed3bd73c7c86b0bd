/** What a run is told, what it reports and what it leaves behind, as plain data: the same in Node, in a worker and across its boundary. */

import type { PlainError } from '../errors.ts';
import type { HySparkConfig, PresetName } from '../models/hyspark/config.ts';
import type { Precision } from '../tape/tensor.ts';

/** What a person chooses. Everything has a default; `resolveConfig` checks it and fills it in. */
export interface RunOptions {
  /** Default `tiny`. */
  readonly preset?: PresetName;
  /** Numbers of the preset to replace, e.g. `{ maskRatio: 0.6 }` or `{ crop: 64 }`. */
  readonly model?: Partial<HySparkConfig>;
  /** Crops a pass. Default 2. */
  readonly batch?: number;
  /** Passes whose gradients make one step. Default 1. BatchNorm's statistics are those of each pass. */
  readonly accumulate?: number;
  /** Optimiser steps; default 300. Not together with `epochs`. */
  readonly steps?: number;
  /** Visits to every training scan, `cropsPerScan` crops each. */
  readonly epochs?: number;
  /** Peak of the schedule. Default by preset: 2e-3 for `tiny`, 5e-4 for `small`, 1e-4 for `base`. */
  readonly learningRate?: number;
  /** Share of the steps that warm up. Default 0.1 for `tiny`, 0.4 (the reference's) for the others. */
  readonly warmup?: number;
  /** Weight decay at the first and the last step. Default [0.04, 0.2]. */
  readonly weightDecay?: readonly [number, number];
  /** Largest norm of the gradient. Default 5. */
  readonly clip?: number;
  /** Weights, masks, order and crops follow from it. Default 1. A whole number, 0 to 2³² − 1. */
  readonly seed?: number;
  /** Crops from each visit to a scan. Default 4. */
  readonly cropsPerScan?: number;
  /** Probability of a flip along x, y, z. Default [0.2, 0.2, 0.1]. */
  readonly flips?: readonly [number, number, number];
  /** Share of the scans held out to judge by. Default 0.1, at least one scan where there are two. */
  readonly heldOut?: number;
  /** Crops of held-out scans that are judged. Default 8. */
  readonly evaluationCrops?: number;
  /** Steps between judgements. Default a twentieth of the run, at least 5. */
  readonly evaluateEvery?: number;
  /** Steps between pictures. Default as `evaluateEvery`. */
  readonly previewEvery?: number;
  /** Steps between checkpoints. Default as `evaluateEvery`. */
  readonly checkpointEvery?: number;
  /** Checkpoints kept beside the best one. Default 2. */
  readonly keep?: number;
  /** Compute activations again in the backward pass: less memory, about a third more work, the same bits. Default false. */
  readonly recompute?: boolean;
  /**
   * `mixed` stores feature maps and their gradients as 16-bit numbers: about half the memory; arithmetic, weights and the optimiser stay 32-bit. Needs an
   * adapter with the feature `shader-f16`, else error `unsupported`. Default `float32`.
   */
  readonly precision?: Precision;
}

/** `RunOptions` with every choice made: what a run folder's `config.json` holds, and all that a run's numbers depend on. */
export interface RunConfig extends Required<Omit<RunOptions, 'model' | 'epochs'>> {
  readonly model: HySparkConfig;
}

/** What a configuration needs of an adapter. */
export interface PlanReport {
  /** Bytes on the GPU. */
  readonly bytes: {
    /** Parameters, gradients, both moments, running statistics. */
    readonly variables: number;
    /** The training pass. */
    readonly activations: number;
    readonly inputs: number;
    /** The pass that judges and makes pictures. */
    readonly evaluation: number;
    readonly peak: number;
  };
  /** Trained numbers. */
  readonly parameters: number;
  /** Floating-point operations of a step. */
  readonly flops: number;
  readonly fits: boolean;
  /** Why not, as a sentence. */
  readonly reason?: string;
  /** Peak bytes with `recompute`, where that is not chosen. */
  readonly recomputePeak?: number;
}

/**
 * `idle` before a start; `preparing` finds scans, builds pipelines; `paused` holds the GPU's memory; `stopped` can be continued from its
 * checkpoint, as can `failed` unless the error says otherwise; `finished` took all its steps. A stored run whose process died
 * is listed as `interrupted`.
 */
export type RunPhase = 'idle' | 'preparing' | 'training' | 'paused' | 'stopped' | 'finished' | 'failed' | 'interrupted';

/** After each step, as soon as its loss is known. */
export interface Progress {
  /** Steps done, of `steps`. */
  readonly step: number;
  readonly steps: number;
  /** Training loss of the step; predicting each patch's mean scores 1. */
  readonly loss: number;
  /**
   * L2 norm before clipping. Infinite, and `null` in JSON, where a step of mixed precision was left out because a gradient overflowed: then the loss
   * scale is halved and training goes on.
   */
  readonly gradientNorm: number;
  readonly learningRate: number;
  readonly epoch: number;
  /** Since the start or the last pause. */
  readonly cropsPerSecond: number;
  readonly secondsLeft: number;
  /** Bytes planned on the GPU. */
  readonly plannedBytes: number;
  /** Share of the time in which the GPU had nothing to do because the next batch was not ready, 0..1. */
  readonly waitedShare: number;
}

/** Losses on the held-out crops with their fixed masks. */
export interface Evaluation {
  readonly step: number;
  /** Mean over the crops. */
  readonly loss: number;
  readonly perCrop: readonly number[];
}

/** What trivial reconstructions score on the same crops and masks. */
export interface Baselines {
  /** Each hidden patch's mean: (n − 1) / n. */
  readonly patchMean: number;
  /** Hidden voxels diffused from the visible ones. */
  readonly smoothFill: number;
}

export type VerdictKind = 'unknown' | 'worse-than-mean' | 'intensity-only' | 'beats-smooth-fill';

export interface Verdict {
  readonly kind: VerdictKind;
  /** Whether the last quarter of the judgements is lower than what came before; unknown with fewer than four. */
  readonly trend: 'improving' | 'flat' | 'unknown';
  readonly sentence: string;
}

/** One evaluation crop as the model sees it. Volumes are `[crop, crop, crop]`, x, y, z with z fastest (RAS), values 0..1. */
export interface Preview {
  readonly step: number;
  /** Which of the evaluation crops, and of how many. */
  readonly index: number;
  readonly count: number;
  /** Content hash of its scan, and whether that is held out (with a single scan nothing is). */
  readonly scan: string;
  readonly heldOut: boolean;
  readonly crop: number;
  readonly original: Float32Array<ArrayBuffer>;
  /** The original with NaN where it is hidden from the model. */
  readonly masked: Float32Array<ArrayBuffer>;
  /** The original where visible, the reconstruction where hidden. */
  readonly reconstructed: Float32Array<ArrayBuffer>;
  /** Of this crop. */
  readonly loss: number;
  /** Path of the panels in the run folder, where one was written. */
  readonly file?: string;
}

/** What a checkpoint makes of one crop. Volumes as in `Preview`. */
export interface Reconstruction extends Pick<Preview, 'step' | 'loss' | 'masked' | 'reconstructed'> {}

/** What was found among the files. Scans are named by content hash. */
export interface CollectionReport {
  readonly training: readonly string[];
  readonly heldOut: readonly string[];
  /** Paths are those that the person gave; a run folder never holds them. */
  readonly setAside: readonly { readonly path: string; readonly reason: string }[];
  readonly ignored: number;
}

export interface LogLine {
  /** Milliseconds since 1970. */
  readonly time: number;
  readonly level: 'info' | 'warning' | 'error';
  readonly text: string;
}

/** Everything that a run tells while it goes on, in order. */
export type RunEvent =
  | {
      readonly type: 'state';
      readonly phase: RunPhase;
      /** What it is doing, e.g. `Building pipelines`; empty where the phase says it all. */
      readonly detail: string;
      /** With `failed`. */
      readonly error?: PlainError;
    }
  /** How much of what the last `state` says is done: scans named, pipelines built. `secondsLeft` once that can be guessed. */
  | { readonly type: 'preparation'; readonly done: number; readonly of: number; readonly secondsLeft?: number }
  | { readonly type: 'collection'; readonly collection: CollectionReport }
  | { readonly type: 'plan'; readonly plan: PlanReport; readonly config: RunConfig }
  | { readonly type: 'baselines'; readonly baselines: Baselines }
  | { readonly type: 'progress'; readonly progress: Progress }
  | { readonly type: 'evaluation'; readonly evaluation: Evaluation; readonly verdict: Verdict }
  /** Of the weights that the run begins with, and every `previewEvery` steps. */
  | { readonly type: 'preview'; readonly preview: Preview }
  | { readonly type: 'checkpoint'; readonly step: number; readonly file: string; readonly best: boolean }
  | { readonly type: 'log'; readonly line: LogLine };

/** How a run ended. */
export interface RunResult {
  readonly id: string;
  readonly phase: 'stopped' | 'finished' | 'failed';
  readonly step: number;
  readonly steps: number;
  readonly loss?: number;
  readonly evaluation?: Evaluation;
  readonly baselines?: Baselines;
  readonly verdict: Verdict;
  /** Paths in the run folder: latest and best checkpoint, latest picture, report. */
  readonly checkpoint?: string;
  readonly best?: string;
  readonly preview?: string;
  readonly report?: string;
  readonly error?: PlainError;
}

/** One row of `metrics.jsonl`. */
export type MetricsRow =
  | ({ readonly kind: 'step' } & Pick<
      Progress,
      'step' | 'loss' | 'gradientNorm' | 'learningRate' | 'epoch' | 'cropsPerSecond' | 'waitedShare'
    >)
  | ({ readonly kind: 'evaluation' } & Evaluation)
  | ({ readonly kind: 'baselines' } & Baselines);

/** A stored run. */
export interface RunListing {
  readonly id: string;
  /** Milliseconds since 1970. */
  readonly created: number;
  readonly phase: RunPhase;
  readonly step: number;
  readonly config: RunConfig;
  /** Adapter that it last ran on. */
  readonly adapter: string;
  readonly loss?: number;
  readonly heldOutLoss?: number;
  readonly verdict: string;
  /** Why it failed. */
  readonly error?: string;
  readonly bytes: number;
  /** Every file of the run: `config.json`, `metrics.jsonl`, `previews/…png`, `checkpoints/…safetensors`, `report.html`. */
  readonly files: readonly { readonly path: string; readonly size: number }[];
}

/**
 * `checkpoint`: our own `.safetensors`, to resume and to start from; `pth`: the full model as PyTorch's resume file; `encoder`: the encoder
 * alone as PyTorch's `.pth`, for fine-tuning.
 */
export type WeightsFormat = 'checkpoint' | 'pth' | 'encoder';

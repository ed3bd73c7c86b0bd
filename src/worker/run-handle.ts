/** A run as an object: what `pretrain` gives. */

import { HysparkError } from '../errors.ts';
import type {
  EngineOptions,
  EngineService,
  Preview,
  RunEvent,
  RunResult,
  StartRequest,
  WeightsFormat,
} from './protocol.ts';

export interface PretrainControls {
  readonly onEvent?: (event: RunEvent) => void;
  /** Stops the run as `stop` does, after the steps in flight and with a checkpoint; while it is being prepared at once, with `aborted`. */
  readonly signal?: AbortSignal;
}

export interface RunHandle {
  /** Name of its folder. */
  readonly id: string;
  /** How it ended; rejects never for what went wrong in the run, which is in `error`, but where the engine's worker died. */
  readonly finished: Promise<RunResult>;
  pause(): Promise<void>;
  resume(): Promise<void>;
  stop(): Promise<RunResult>;
  /** Evaluation crop `index` by the weights of now. */
  preview(index?: number): Promise<Preview>;
  /** Weights of the best checkpoint, or of the latest. */
  export(format: WeightsFormat, which?: 'best' | 'latest'): Promise<Blob>;
  /** A file of the run's folder, e.g. `report.html`. */
  file(path: string): Promise<Blob>;
  /** Stops, as `stop` does, and frees the GPU. Nothing can be called afterwards. */
  dispose(): Promise<void>;
}

/** Starts a run on an engine of its own, which goes when the run is disposed of or could not start. */
export async function startRun(
  engine: EngineService,
  request: StartRequest,
  { onEvent, signal, ...options }: PretrainControls & EngineOptions,
): Promise<RunHandle> {
  const abort = () => void engine.stop().catch(() => undefined);
  try {
    if (signal?.aborted) throw aborted();
    await engine.open(options);
    if (signal?.aborted) throw aborted();
    signal?.addEventListener('abort', abort, { once: true });
    const id = await engine.start(request, onEvent ?? (() => undefined));
    const finished = engine.finished();
    // Whoever awaits it hears of a failure.
    finished.catch(() => undefined).finally(() => signal?.removeEventListener('abort', abort));
    return {
      id,
      finished,
      pause: () => engine.pause(),
      resume: () => engine.resume(),
      async stop() {
        await engine.stop();
        return finished;
      },
      preview: (index = 0) => engine.preview(index),
      export: (format, which) => engine.exportWeights(id, format, which),
      file: (path) => engine.readRunFile(id, path),
      dispose: () => engine.dispose(),
    };
  } catch (error) {
    signal?.removeEventListener('abort', abort);
    await engine.dispose().catch(() => undefined); // what went wrong before says more
    throw error;
  }
}

function aborted(): HysparkError {
  return new HysparkError('aborted', { doing: 'Starting a run', got: 'a signal that was aborted before' });
}

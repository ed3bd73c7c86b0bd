/**
 * `hyspark-webgpu`: pre-train HySparK on CT scans with WebGPU. In a browser the engine runs in a worker of its own; in Node it is called directly
 * and this module's functions are those of `hyspark-webgpu` under the condition `node`.
 *
 * ```ts
 * const run = await pretrain(filesFromInput(input.files), { preset: 'tiny' }, { onEvent: console.log });
 * const { verdict } = await run.finished;
 * const weights = await run.export('pth');
 * await run.dispose();
 * ```
 */

import { startEngine } from './worker/client.ts';
import type { EngineOptions, FoundFile, RunOptions, StartRequest } from './worker/protocol.ts';
import { type PretrainControls, type RunHandle, startRun } from './worker/run-handle.ts';

export { filesFromDrop, filesFromInput } from './data/browser-files.ts';
export { type ErrorCode, HysparkError } from './errors.ts';
export { PRESETS } from './models/hyspark/config.ts';
export { resolveConfig } from './train/config.ts';
export { type EngineClient, startEngine } from './worker/client.ts';
export type * from './worker/protocol.ts';
export type { PretrainControls, RunHandle } from './worker/run-handle.ts';
export { isLive, newRunName } from './worker/runs.ts';

/**
 * Pre-trains on scans. Resolves once the run is under way.
 * @param files as found by `filesFromInput` or `filesFromDrop`
 * @throws HysparkError `no-adapter`, `bad-argument`, `exceeds-limits`, `set-aside` where nothing can be trained on
 */
export async function pretrain(
  files: readonly FoundFile[],
  options: RunOptions & Pick<StartRequest, 'id' | 'weights' | 'partialWeights'> = {},
  controls: PretrainControls & EngineOptions = {},
): Promise<RunHandle> {
  const { id, weights, partialWeights, ...rest } = options;
  return startRun(startEngine(), { files, options: rest, id, weights, partialWeights }, controls);
}

/** Goes on with a stored run from its last checkpoint. The same scans must be given again: runs hold none. */
export async function resume(
  run: string,
  files: readonly FoundFile[],
  controls: PretrainControls & EngineOptions = {},
): Promise<RunHandle> {
  return startRun(startEngine(), { files, resume: run }, controls);
}

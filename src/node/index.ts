/**
 * `hyspark-webgpu` in Node: as in a browser, but the engine is called directly, scans may be paths, and runs lie in a folder.
 *
 * ```ts
 * const run = await pretrain(['scans'], { preset: 'tiny', steps: 100 }, { runs: 'runs', onEvent: console.log });
 * ```
 */

import type { EngineOptions, FoundFile, RunOptions, StartRequest } from '../worker/protocol.ts';
import { type PretrainControls, type RunHandle, startRun } from '../worker/run-handle.ts';
import { createEngine, type NodeEngineOptions } from './engine.ts';
import { findFiles } from './files.ts';

export { type ErrorCode, HysparkError } from '../errors.ts';
export { PRESETS } from '../models/hyspark/config.ts';
export { resolveConfig } from '../train/config.ts';
export { Engine } from '../worker/engine.ts';
export type * from '../worker/protocol.ts';
export type { PretrainControls, RunHandle } from '../worker/run-handle.ts';
export { isLive, newRunName } from '../worker/runs.ts';
export { createEngine, type NodeEngineOptions } from './engine.ts';
export { findFiles } from './files.ts';

/** Files as found, or paths of files and folders. */
export type Scans = readonly FoundFile[] | readonly string[];

/** As the browser's `pretrain`. */
export async function pretrain(
  scans: Scans,
  options: RunOptions & Pick<StartRequest, 'id' | 'weights' | 'partialWeights'> = {},
  { runs, cache, ...controls }: PretrainControls & EngineOptions & NodeEngineOptions = {},
): Promise<RunHandle> {
  const { id, weights, partialWeights, ...rest } = options;
  const request = { files: await filesOf(scans), options: rest, id, weights, partialWeights };
  return startRun(createEngine({ runs, cache }), request, controls);
}

/** As the browser's `resume`. */
export async function resume(
  run: string,
  scans: Scans,
  { runs, cache, ...controls }: PretrainControls & EngineOptions & NodeEngineOptions = {},
): Promise<RunHandle> {
  return startRun(createEngine({ runs, cache }), { files: await filesOf(scans), resume: run }, controls);
}

async function filesOf(scans: Scans): Promise<readonly FoundFile[]> {
  const paths = scans.filter((scan) => typeof scan === 'string');
  const found = scans.filter((scan) => typeof scan !== 'string');
  return [...found, ...(paths.length > 0 ? await findFiles(paths) : [])];
}

/** Weights in and out of a run: to start from, and to take away. */

import { randomMasks } from '../bricks/mask.ts';
import type { Cursor } from '../data/sampler.ts';
import { HysparkError } from '../errors.ts';
import type { Bytes } from '../formats/bytes.ts';
import type { Device } from '../gpu/device.ts';
import { loadPth, writeEncoderPth, writeResumePth } from '../models/hyspark/checkpoint.ts';
import { HySparK } from '../models/hyspark/hyspark.ts';
import { Declarations } from '../nn/declare.ts';
import { Variables } from '../tape/variables.ts';
import { openCheckpoint, type RunState } from './checkpoint.ts';
import { scheduleOf } from './config.ts';
import type { Log, RunFolder, StoredCheckpoint } from './folder.ts';
import { scheduleAt } from './schedule.ts';
import type { Trainer } from './trainer.ts';
import type { RunConfig, WeightsFormat } from './types.ts';
import { type Look, Viewer } from './viewer.ts';

interface Found extends StoredCheckpoint {
  /** Where the loader stood; undefined for the beginning. */
  readonly cursor?: Cursor;
}

/**
 * Puts weights of a file into a run that begins: our checkpoint, or a `.pth` of the full model or the encoder. The optimiser begins anew.
 * Returns what was taken, as a sentence. Errors: `bad-file`; `mismatch` where they do not fit, unless `partial`.
 */
export async function loadWeights(trainer: Trainer, file: Blob, partial: boolean): Promise<string> {
  const { model } = trainer;
  const start = new Uint8Array(await file.slice(0, 2).arrayBuffer());
  const isZip = start[0] === 0x50 && start[1] === 0x4b; // "PK": a .pth is a zip archive
  let sentence = 'Started from the weights of a checkpoint.';
  if (isZip) {
    const found = loadPth(model, new Uint8Array(await file.arrayBuffer()), {
      partial,
      moments: false,
      file: 'the weights',
    });
    const left = found.missing.length + found.mismatched.length;
    sentence = `Started from weights: ${found.taken.length} keys taken, ${left} as drawn from the seed, ${found.unexpected.length} of the file not used.`;
  } else {
    const { taken, left } = await (await openCheckpoint(file, 'the weights')).load(model.declare, partial);
    if (left > 0) sentence = `Started from a checkpoint: ${taken} tensors taken, ${left} as drawn from the seed.`;
  }
  trainer.forgetMoments();
  return sentence;
}

/**
 * Loads the newest checkpoint of a folder that can be read; undefined where there is none, and the trainer is as at the beginning. Those that cannot
 * be read are passed over. Errors: the newest one's where none can be read; `mismatch`, `unsupported` where one is of another run or engine.
 */
export async function loadNewest(folder: RunFolder, trainer: Trainer, log: Log): Promise<Found | undefined> {
  let failure: HysparkError | undefined;
  for (const { path } of await folder.checkpoints()) {
    try {
      const { run, load } = await openCheckpoint(await folder.store.open(path), path);
      await load(trainer.model.declare);
      trainer.setLossScale(run.lossScale);
      return { step: run.step, path, cursor: (run.cursor as Cursor | null) ?? undefined };
    } catch (error) {
      if (!(error instanceof HysparkError) || !['bad-file', 'storage'].includes(error.code)) throw error;
      log('warning', `${error.message} It is passed over.`);
      failure ??= error;
      trainer.begin();
      folder.passOver(path);
    }
  }
  if (failure) throw failure;
  if (folder.head.fromWeights) {
    throw new HysparkError('bad-state', {
      doing: 'Resuming a run',
      got: 'one that began from weights and had not got to its first checkpoint',
      advice: 'Delete it and start again from the weights',
    });
  }
  return undefined;
}

/** A model with the weights of a checkpoint of ours, for `use`; its memory on the device is freed afterwards. */
async function* withModel<T>(
  device: Device,
  config: RunConfig,
  file: Blob,
  use: (model: HySparK, run: RunState) => AsyncGenerator<T>,
): AsyncGenerator<T> {
  const variables = new Variables(device.limits.maxStorageBufferBindingSize);
  const model = new HySparK(new Declarations(variables), config.model);
  try {
    await variables.allocate(device, true);
    const checkpoint = await openCheckpoint(file);
    await checkpoint.load(model.declare);
    yield* use(model, checkpoint.run);
  } finally {
    variables.destroy();
  }
}

/** A run's checkpoint in PyTorch's format, chunk by chunk. */
export function exportCheckpoint(
  device: Device,
  config: RunConfig,
  file: Blob,
  format: Exclude<WeightsFormat, 'checkpoint'>,
): AsyncGenerator<Bytes> {
  return withModel(device, config, file, (model, { step, passes, seed, cursor }) => {
    if (format === 'encoder') return writeEncoderPth(model, { seed, passes });
    const rates = scheduleAt(scheduleOf(config), Math.min(step, config.steps - 1));
    const epochs = (cursor as Cursor | null)?.epoch ?? 0;
    return writeResumePth(model, { seed, passes, step, epochs, performance: `step ${step}`, ...rates });
  });
}

/** What a checkpoint makes of a crop [crop, crop, crop] under the mask that follows from `seed`. */
export async function reconstruct(
  device: Device,
  config: RunConfig,
  file: Blob,
  volume: Float32Array,
  seed: number,
): Promise<Look & { readonly step: number }> {
  const looks = withModel(device, config, file, async function* (model, { step }) {
    const viewer = await Viewer.create(device, model);
    try {
      const [mask] = randomMasks(seed, 0, 1, model.grid.cells, config.model.maskRatio);
      yield { ...(await viewer.look(volume, mask!)), step };
    } finally {
      viewer.destroy();
    }
  });
  for await (const look of looks) return look;
  throw new HysparkError('bad-state', { doing: 'Reconstructing', got: 'nothing' });
}

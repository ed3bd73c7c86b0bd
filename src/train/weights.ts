/** Weights in and out of a run: to start from, and to take away. */

import { HysparkError } from '../errors.ts';
import type { Bytes } from '../formats/bytes.ts';
import type { Device } from '../gpu/device.ts';
import { loadPth, writeEncoderPth, writeResumePth } from '../models/hyspark/checkpoint.ts';
import { HySparK } from '../models/hyspark/hyspark.ts';
import { Declarations } from '../nn/declare.ts';
import { Variables } from '../tape/variables.ts';
import { openCheckpoint } from './checkpoint.ts';
import { scheduleOf } from './config.ts';
import { scheduleAt } from './schedule.ts';
import type { Trainer } from './trainer.ts';
import type { RunConfig, WeightsFormat } from './types.ts';

/**
 * Puts weights of a file into a run that begins: our checkpoint, or a `.pth` of the full model or the encoder. The optimiser begins anew.
 * Returns what was taken, as a sentence. Errors: `bad-file`; `mismatch` where they do not fit, unless `partial` (`.pth` only).
 */
export async function loadWeights(trainer: Trainer, file: Blob, partial: boolean): Promise<string> {
  const { model } = trainer;
  const start = new Uint8Array(await file.slice(0, 2).arrayBuffer());
  const isZip = start[0] === 0x50 && start[1] === 0x4b; // "PK": a .pth is a zip archive
  let sentence = 'Started from the weights of a checkpoint.';
  if (isZip) {
    const found = loadPth(model, new Uint8Array(await file.arrayBuffer()), { partial, file: 'the weights' });
    const left = found.missing.length + found.mismatched.length;
    sentence = `Started from weights: ${found.taken.length} keys taken, ${left} as drawn from the seed, ${found.unexpected.length} of the file not used.`;
  } else {
    await (await openCheckpoint(file, 'the weights')).load(model.declare);
  }
  trainer.forgetMoments();
  return sentence;
}

/**
 * A run's checkpoint in another format, chunk by chunk. Memory on the device is freed when the last chunk is taken.
 * @param file a checkpoint of ours
 */
export async function* exportCheckpoint(
  device: Device,
  config: RunConfig,
  file: Blob,
  format: Exclude<WeightsFormat, 'checkpoint'>,
): AsyncGenerator<Bytes> {
  const variables = new Variables(device.limits.maxStorageBufferBindingSize);
  const model = new HySparK(new Declarations(variables), config.model);
  try {
    await variables.allocate(device, true);
    const checkpoint = await openCheckpoint(file);
    await checkpoint.load(model.declare);
    const { step, passes, seed } = checkpoint.run;
    if (format === 'encoder') yield* writeEncoderPth(model, { seed, passes });
    else if (format === 'pth') {
      const rates = scheduleAt(scheduleOf(config), Math.min(step, config.steps - 1));
      const epochs = Math.max(0, (checkpoint.run.cursor as { epoch?: number } | null)?.epoch ?? 0);
      yield* writeResumePth(model, { seed, passes, step, epochs, performance: `step ${step}`, ...rates });
    } else throw new HysparkError('bad-argument', { doing: 'Exporting weights', got: format, need: 'pth or encoder' });
  } finally {
    variables.destroy();
  }
}

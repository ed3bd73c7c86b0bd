/**
 * A run's own checkpoint: one `.safetensors` with parameters, both moments and running statistics bit for bit, and in its metadata
 * where the run was. Resuming from it equals not having stopped.
 */

import { HysparkError } from '../errors.ts';
import type { Bytes } from '../formats/bytes.ts';
import { inFileOrder, openSafetensors, type SafetensorsIndex, writeSafetensors } from '../formats/safetensors.ts';
import type { TensorSource } from '../formats/tensor.ts';
import type { Declarations } from '../nn/declare.ts';
import type { LossScale } from '../ops/loss-scale.ts';
import { shapeText, type Tensor } from '../tape/tensor.ts';

/** Where a run is. `cursor` and `configuration` are whatever plain data the loader and the run keep there. */
export interface RunState {
  /** Optimiser steps taken. */
  readonly step: number;
  /** Training passes taken: steps times micro-batches. */
  readonly passes: number;
  readonly seed: number;
  /** Of the next step, with mixed precision. */
  readonly lossScale?: LossScale;
  /** Where the data loader stands. */
  readonly cursor: unknown;
  /** Model, recipe and plan: enough to build the same run again. */
  readonly configuration: unknown;
}

const FORMAT_NAME = 'hyspark-webgpu checkpoint';
const FORMAT = `${FORMAT_NAME} 1`;

/**
 * Writes a checkpoint, chunk by chunk, reading some tensors from the device at a time. No step may be submitted until it is
 * written, or the file would hold some tensors of one step and some of the next.
 */
export function writeCheckpoint(declare: Declarations, run: RunState): AsyncGenerator<Bytes> {
  const sources = new Map<string, TensorSource>();
  const stored = storedTensors(declare);
  for (const [name, tensor] of stored) {
    sources.set(name, { dtype: 'F32', shape: tensor.shape, data: () => read(tensor) });
  }
  const read = declare.variables.readerOf(inFileOrder(sources).map(([name]) => stored.get(name)!));
  return writeSafetensors(sources, { format: FORMAT, run: JSON.stringify(run) });
}

/** Every tensor that a run's next step depends on, by its name in the file. */
function storedTensors(declare: Declarations): Map<string, Tensor> {
  const stored = new Map<string, Tensor>();
  for (const { name, role, tensor } of declare.specs.values()) {
    if (!tensor) continue; // nothing reads it: it follows from the seed
    stored.set(name, tensor);
    if (role !== 'parameter') continue;
    const { firstMoment, secondMoment } = declare.variables.momentsOf(tensor);
    stored.set(`${name}#firstMoment`, firstMoment);
    stored.set(`${name}#secondMoment`, secondMoment);
  }
  return stored;
}

/** A checkpoint whose header has been read. */
export interface Checkpoint {
  readonly run: RunState;
  /**
   * Puts it into a model of the same configuration, one tensor at a time; with `partial`, what fits of it. Every name and shape is checked before
   * the first is written. Returns how many of the model's tensors were taken and how many were left, moments not counted.
   * @throws HysparkError `mismatch` naming what differs
   */
  load(declare: Declarations, partial?: boolean): Promise<{ readonly taken: number; readonly left: number }>;
}

/** Opens a checkpoint. @throws HysparkError `bad-file` where it is truncated, damaged or no checkpoint of this engine */
export async function openCheckpoint(blob: Blob, file = 'checkpoint'): Promise<Checkpoint> {
  const index = await openSafetensors(blob, file);
  const run = readRun(index.metadata, file);
  return { run, load: (declare, partial = false) => load(declare, index, partial, file) };
}

function readRun({ format, run }: Record<string, string>, file: string): RunState {
  const refuse = (got: string) => new HysparkError('bad-file', { doing: `Reading ${file}`, got, need: FORMAT });
  if (format !== FORMAT) {
    if (!format?.startsWith(FORMAT_NAME)) throw refuse(format?.slice(0, 80) ?? 'a safetensors file of another kind');
    const advice = 'It was written by another version of this engine: use that';
    throw new HysparkError('unsupported', { doing: `Reading ${file}`, got: format.slice(0, 80), need: FORMAT, advice });
  }
  let state: RunState;
  try {
    state = JSON.parse(run ?? '') as RunState;
  } catch {
    throw refuse('metadata "run" that is not JSON');
  }
  for (const field of ['step', 'passes', 'seed'] as const) {
    if (!Number.isSafeInteger(state?.[field]))
      throw refuse(`a run whose ${field} is ${JSON.stringify(state?.[field])}`);
  }
  const { lossScale } = state;
  if (lossScale !== undefined && !(lossScale?.length === 2 && lossScale[0] >= 1 && lossScale[1] >= 0)) {
    throw refuse(`a run whose lossScale is ${JSON.stringify(lossScale)}`);
  }
  return state;
}

async function load(declare: Declarations, index: SafetensorsIndex, partial: boolean, file: string) {
  const stored = storedTensors(declare);
  const fitting = new Map<string, Tensor>();
  const faults: string[] = [];
  for (const [name, tensor] of stored) {
    const { shape } = tensor;
    const spec = index.specs.get(name);
    if (!spec) faults.push(`${name} is missing`);
    else if (spec.dtype !== 'F32' || shapeText(spec.shape) !== shapeText(shape)) {
      faults.push(`${name} is ${spec.dtype} ${shapeText(spec.shape)} instead of F32 ${shapeText(shape)}`);
    } else fitting.set(name, tensor);
  }
  for (const name of index.specs.keys()) if (!stored.has(name)) faults.push(`${name} is unknown`);
  if (fitting.size === 0 || (faults.length > 0 && !partial)) {
    throw new HysparkError('mismatch', {
      doing: `Loading ${file}`,
      got: `${faults.length} tensors that do not fit: ${faults.slice(0, 5).join('; ')}${faults.length > 5 ? '; …' : ''}`,
      advice: "Build the model with the checkpoint's own configuration",
    });
  }
  for (const [name, tensor] of fitting) {
    declare.variables.write(tensor, (await index.tensor(name)).data as Float32Array);
  }
  const count = (names: Iterable<string>) => [...names].filter((name) => !name.includes('#')).length;
  return { taken: count(fitting.keys()), left: count(stored.keys()) - count(fitting.keys()) };
}

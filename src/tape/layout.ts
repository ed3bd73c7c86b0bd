/**
 * What a plan needs, by arithmetic alone: recomputation put into the launch list, lifetimes taken, every tensor given a place. No device,
 * so that what will not fit is known before a byte is allocated.
 */

import { HysparkError } from '../errors.ts';
import type { AdapterReport } from '../gpu/adapter.ts';
import { lifetimes, type MemoryLayout, placeTensors } from './memory.ts';
import { recomputed } from './recompute.ts';
import type { Dispatch, Tape } from './tape.ts';
import type { Tensor } from './tensor.ts';
import { align, type Variables } from './variables.ts';

export interface PlanOptions {
  /** Compute marked activations again in the backward pass instead of keeping them: less memory, more work. */
  readonly recompute?: boolean;
  /** Floating-point operations of a submission and of a slice (`slices.ts`), instead of the usual: tests cut small work. */
  readonly mostFlops?: number;
}

export interface Layout {
  readonly dispatches: readonly Dispatch[];
  readonly memory: MemoryLayout;
  readonly inputs: ReadonlyMap<Tensor, number>;
  readonly bytes: {
    readonly activations: number;
    readonly inputs: number;
    readonly variables: number;
    readonly peak: number;
  };
  /** The tensor with the largest binding, which `maxStorageBufferBindingSize` must hold. */
  readonly largest: Tensor | undefined;
}

export type PlanLimits = Pick<AdapterReport['limits'], 'maxBufferSize' | 'maxStorageBufferBindingSize'>;

/** Lays a tape out in memory. Throws `exceeds-limits` with a sentence when a tensor is larger than the adapter can bind. */
export function layOut(
  tape: Tape,
  variables: Variables | undefined,
  limits: PlanLimits,
  options: PlanOptions = {},
): Layout {
  const dispatches = options.recompute ? recomputed(tape.dispatches) : tape.dispatches;
  const all = lifetimes(dispatches, tape.outputs);
  const inputs = new Map<Tensor, number>();
  let inputBytes = 0;
  for (const tensor of tape.inputs) {
    inputs.set(tensor, inputBytes);
    inputBytes += align(tensor.bytes);
  }
  const tensors = [...all.keys(), ...tape.inputs];
  const largest = tensors.reduce<Tensor | undefined>((a, b) => (a && a.bytes >= b.bytes ? a : b), undefined);
  const most = Math.min(limits.maxStorageBufferBindingSize, limits.maxBufferSize);
  if (largest && largest.bytes > most) {
    throw new HysparkError('exceeds-limits', {
      doing: `Planning memory: tensor "${largest.name}"`,
      got: `${mebibytes(largest.bytes)} in one piece`,
      need: `at most ${mebibytes(most)} on this adapter`,
      advice: 'Choose a smaller preset, crop or batch, or another adapter',
    });
  }
  const memory = placeTensors(all, limits.maxBufferSize);
  const activations = memory.arenaBytes.reduce((a, b) => a + b, 0);
  const held = variables?.bytes(tape.dispatches.some((d) => d.backward)) ?? 0;
  const bytes = { activations, inputs: inputBytes, variables: held, peak: activations + inputBytes + held };
  return { dispatches, memory, inputs, bytes, largest };
}

export function mebibytes(bytes: number): string {
  return `${(bytes / 1048576).toFixed(bytes < 10485760 ? 2 : 0)} MiB`;
}

/**
 * Recomputation as a change of the launch list: an activation marked recomputable that the backward pass reads is dropped
 * after the forward pass and computed again just before its first reader there. The same kernels on the same inputs
 * give the same bits, so only the peak memory changes.
 */

import { HysparkError } from '../errors.ts';
import type { Dispatch } from './tape.ts';
import { Tensor } from './tensor.ts';

/** Returns the launch list with recomputation put in. Launches that update state are never repeated. */
export function recomputed(dispatches: readonly Dispatch[]): Dispatch[] {
  const producer = new Map<Tensor, Dispatch>();
  for (const dispatch of dispatches) {
    if (dispatch.backward) continue;
    dispatch.kernel.bindings.forEach(({ access }, i) => {
      const tensor = dispatch.tensors[i]!;
      if (access === 'write' && tensor.recomputable) producer.set(tensor, dispatch);
      if (access !== 'read' && tensor.recomputable && access === 'update') {
        throw new HysparkError('bad-state', {
          doing: `Recomputing ${dispatch.label}`,
          got: `"${tensor.name}" is updated in place`,
          need: 'each recomputable tensor written by one launch',
        });
      }
    });
  }
  const copies = new Map<Tensor, Tensor>();
  const result: Dispatch[] = [];

  /** The tensor to read in the backward pass in place of `tensor`, recording its computation when first asked for. */
  const again = (tensor: Tensor): Tensor => {
    const source = producer.get(tensor);
    if (!source) return tensor;
    const known = copies.get(tensor);
    if (known) return known;
    const tensors = source.tensors.map((t, i) => {
      if (source.kernel.bindings[i]!.access === 'read') return again(t);
      if (!t.recomputable) {
        throw new HysparkError('bad-state', {
          doing: `Recomputing ${source.label}`,
          got: `it also writes "${t.name}", which is kept`,
          need: 'launches whose results are all recomputable',
        });
      }
      const copy = new Tensor(`${t.name} again`, t.shape, t.dtype, 'activation', false, false, t.storage);
      copies.set(t, copy);
      return copy;
    });
    result.push({ ...source, tensors, label: `${source.label} again`, backward: true });
    return copies.get(tensor)!;
  };

  for (const dispatch of dispatches) {
    const { kernel } = dispatch;
    const tensors = dispatch.backward
      ? dispatch.tensors.map((t, i) => (kernel.bindings[i]!.access === 'read' ? again(t) : t))
      : dispatch.tensors;
    result.push({ ...dispatch, tensors });
  }
  return result;
}

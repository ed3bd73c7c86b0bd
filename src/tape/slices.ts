/**
 * Long launches in slices. On a small GPU a single launch can take seconds, in which nothing is drawn and after which a driver's watchdog
 * resets the GPU. So a launch whose kernel says how (`Kernel.sliced`) is prepared in slices of its workgroups; those that follow one
 * another in a submission are launched as one. A workgroup does the same wherever its launch is cut: the bits do not depend on it.
 */

import { MOST_WORKGROUPS, type Workgroups } from './op.ts';
import type { Part } from './submissions.ts';
import type { Dispatch } from './tape.ts';

export interface Slice {
  readonly dispatch: Dispatch;
  /** Along the kernel's sliced axis: the first workgroup, and how many. */
  readonly first: number;
  readonly count: number;
  readonly flops: number;
}

/** Floating-point operations of a slice: a twentieth of a second on the slowest GPUs, a thousandth of one on the fastest. */
const FLOPS = 8e9;

/** A launch in slices, in order; in one where it cannot be cut or is short. */
export function slicesOf(dispatch: Dispatch, mostFlops = FLOPS): Slice[] {
  const { sliced } = dispatch.kernel;
  const { workgroups, flops = 0 } = dispatch.launch;
  if (!sliced) return [{ dispatch, first: 0, count: workgroups[0], flops }];
  const all = workgroups[sliced.axis];
  const each = Math.min(MOST_WORKGROUPS, Math.ceil(all / Math.max(1, flops / mostFlops)));
  return Array.from({ length: Math.ceil(all / each) }, (_, i): Slice => {
    const first = i * each;
    const count = Math.min(each, all - first);
    return { dispatch, first, count, flops: (flops * count) / all };
  });
}

/** One launch for several slices: their first, with which all share its kernel and tensors. */
export type Joined<T> = T & { readonly workgroups: Workgroups };

/** The launches of a part of the list, slices of one launch put together as far as an adapter can launch them. */
export function joined<T extends { readonly slice: Slice }>(launches: readonly T[], [from, end]: Part): Joined<T>[] {
  const groups: { readonly launch: T; count: number }[] = [];
  for (const launch of launches.slice(from, end)) {
    const last = groups.at(-1);
    const { dispatch, count } = launch.slice;
    if (last?.launch.slice.dispatch === dispatch && last.count + count <= MOST_WORKGROUPS) last.count += count;
    else groups.push({ launch, count });
  }
  return groups.map(({ launch, count }) => {
    const { kernel, launch: recorded } = launch.slice.dispatch;
    const [x, y, z] = recorded.workgroups.map((all, axis) => (axis === kernel.sliced?.axis ? count : all));
    return { ...launch, workgroups: [x!, y!, z!] };
  });
}

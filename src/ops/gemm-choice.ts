/** What a choice of a micro-kernel is, and how a tuned one is named. */

import type { Tunable, WeightGradientShape } from '../../shaders/gemm/family.ts';
import type { Kernel } from '../../shaders/lib/kernel.ts';
import type { Target, Workgroups } from '../tape/op.ts';
import type { Alternative } from './tuner.ts';

export interface Choice {
  readonly kernel: Kernel;
  /** Left out for the plain kernels, which are elementwise. */
  readonly workgroups?: Workgroups;
  /** Uniforms beyond the family's own. */
  readonly uniforms: Readonly<Record<string, number>>;
  /** Present where a product's kernel writes so many partial sums, which a second launch finishes; a weight gradient's always does. */
  readonly splits?: number;
}

export interface SplitChoice extends Choice {
  readonly splits: number;
  readonly rowsPerSplit: number;
  /** Rows of the bias's partial sums, where the kernel makes them. */
  readonly biasRows?: number;
}

/** One way to launch a product. */
export interface Candidate<C extends Choice = Choice> extends Alternative {
  /** @param rows of the product, instead of its own: for a trial on fewer */
  choice(rows?: number): C;
}

/** Sums in another order: f32 rounding over the longest contractions of the network. */
export const REORDERED = 1e-4;

/** Names a launch by all that its kernel may depend on, e.g. `product addressing=rows bias rows=512 inner=8 columns=32 edge=1`. */
export function keyOf({ form, variant, shape }: Tunable): string {
  const parts = Object.entries({ ...variant, ...shape }).flatMap(([name, value]) =>
    value === false ? [] : [value === true ? name : `${name}=${value}`],
  );
  return [form, ...parts].join(' ');
}

/** The candidate that tuning chose, or the first. A name that is none of theirs (another adapter's, an older version's) counts as none. */
export function chosen<C extends Choice>(
  { tuning }: Target,
  key: () => string,
  candidates: readonly Candidate<C>[],
): C {
  const name = tuning && candidates.length > 1 ? tuning[key()] : undefined;
  return (candidates.find((c) => c.name === name) ?? candidates[0]!).choice();
}

/** Partial sums may take at most 32 MiB: the price of determinism is kept small against activations. */
export function mostSplits(weights: number): number {
  return Math.max(1, Math.floor((32 * 1024 * 1024) / (weights * 4)));
}

/** WebGPU's default, which every adapter has. */
export const WORKGROUP_MEMORY = 16384;
/** Likewise. Some adapters, and browsers that hide which one it is, allow no more. */
const WORKGROUP_THREADS = 256;

/** Threads that a workgroup may have. */
export function workgroupThreads({ limits }: Target): number {
  const { maxComputeInvocationsPerWorkgroup = WORKGROUP_THREADS, maxComputeWorkgroupSizeX = WORKGROUP_THREADS } =
    limits ?? {};
  return Math.min(maxComputeInvocationsPerWorkgroup, maxComputeWorkgroupSizeX);
}

/** Workgroups to cut a weight gradient's rows for: enough to fill a large GPU a few times over. */
export const USUAL_WORKGROUPS = 1024;

/**
 * Cuts the rows of a weight gradient so that its x · y blocks of results make about so many workgroups.
 * @param depth rows that a workgroup takes at a time
 */
export function splitRows(
  { x, y, depth }: { readonly x: number; readonly y: number; readonly depth: number },
  workgroups: number,
  { rows, inner, columns, taps }: WeightGradientShape,
): Omit<SplitChoice, 'kernel' | 'uniforms'> {
  const wanted = Math.min(Math.ceil(workgroups / (x * y)), Math.ceil(rows / 256), mostSplits(taps * inner * columns));
  const rowsPerSplit = Math.ceil(rows / wanted / depth) * depth;
  const splits = Math.ceil(rows / rowsPerSplit);
  return { workgroups: [x, y, splits], splits, rowsPerSplit };
}

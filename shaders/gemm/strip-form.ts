/**
 * How a strip of voxels along z shares its loads of `a` among taps: for each of the addressings that look around, the values that a
 * strip of `length` needs are one before it, step · length of its own, and one after it, and each tap is a window onto them.
 */

import type { Addressing } from '../lib/rows.ts';

export interface StripForm {
  /** Own values for each voxel of the strip: 2 on the finer grid. */
  readonly step: number;
  /** Weights of a column that one step of the contraction uses: taps along z. */
  readonly weights: number;
  /** Results of a voxel along z. */
  readonly children: number;
  /** From the tap of the value before the strip to that of the value after it. */
  readonly after: number;
  /** (value, weight) pairs whose products add up to a voxel's result. */
  terms(voxel: number, child: number): readonly (readonly [number, number])[];
}

const windows = (step: number, weights: number): StripForm => ({
  step,
  weights,
  children: 1,
  after: weights - 1,
  terms: (voxel) => Array.from({ length: weights }, (_, d) => [step * voxel + d, d]),
});

/** Child φ reads the voxels at φ + τ − 1; their weights are the composed kernel's places 3 − φ − 2τ. */
const corners: StripForm = {
  step: 1,
  weights: 4,
  children: 2,
  after: 9, // φ = 1 and τ = 1
  terms: (voxel, child) => [0, 1].map((t) => [voxel + child + t, 3 - child - 2 * t]),
};

export function stripForm(addressing: Addressing): StripForm {
  if (addressing === 'neighbours') return windows(1, 3);
  if (addressing === 'windows') return windows(2, 4);
  if (addressing === 'corners') return corners;
  return { ...windows(1, 1), terms: () => [] };
}

/** WGSL: the rows before, own and after of the strip whose first voxel is the row `first`, for the taps from `tap`. */
export function stripRows(form: StripForm, length: number, first: string, tap: string, suffix = ''): string {
  return `let before${suffix} = rowOf(${first}, ${tap}); let own${suffix} = rowOf(${first}, ${tap} + 1u); let after${suffix} = rowOf(${first} + ${length - 1}u, ${tap} + ${form.after}u);`;
}

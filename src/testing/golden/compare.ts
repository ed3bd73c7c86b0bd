/** Errors of a tensor against what golden data knows of it, and the groups in which they are reported. */

import type { Checksum, Expected, Sampled } from './manifest.ts';

/** Largest difference / largest magnitude of the expected tensor, over all values or the sampled ones. NaN where sizes differ. */
export function sampleError(got: Float32Array, expected: Expected): number {
  if ('values' in expected) {
    if (got.length !== expected.values.length) return Number.NaN;
    return worst(got.length, (i) => got[i]! - expected.values[i]!) / (largest(expected.values) || 1e-30);
  }
  if (got.length !== product(expected.shape)) return Number.NaN;
  return (
    worst(expected.index.length, (j) => got[expected.index[j]!]! - expected.value[j]!) / (expected.max_abs || 1e-30)
  );
}

/** Root mean square difference of the sampled values / root mean square of the tensor: an estimate of the relative error in L2. */
export function rmsError(got: Float32Array, expected: Expected): number {
  if ('values' in expected) return sampleError(got, expected);
  const size = product(expected.shape);
  if (got.length !== size) return Number.NaN;
  const squares = expected.index.reduce((sum, at, j) => sum + (got[at]! - expected.value[j]!) ** 2, 0);
  return Math.sqrt(squares / expected.index.length) / (expected.l2 / Math.sqrt(size) || 1e-30);
}

/** Relative difference of L2 norms. */
export function normError(got: Float32Array, l2: number): number {
  return Math.abs(norm(got) - l2) / (l2 || 1e-30);
}

/** Difference of the sums / the most that it can be for a tensor of this norm and size, √n · L2. */
export function sumError(got: Float32Array, { sum, l2 }: Pick<Sampled, 'sum' | 'l2'>): number {
  return Math.abs(total(got) - sum) / (Math.sqrt(got.length) * l2 || 1e-30);
}

/**
 * What the checksums tell of ‖p − expected‖ / ‖expected‖: by the norm, by the sum, by the first values. Rounding noise moves single
 * values by whole steps with plain weights, so there the first ones are held against the whole norm; with smooth weights
 * against the root mean square.
 */
export function checksumError(got: Float32Array, { sum, sumsq, first4 }: Checksum, smooth: boolean): number {
  const l2 = Math.sqrt(sumsq) || 1e-30;
  const difference = Math.sqrt(first4.reduce((s, v, i) => s + (got[i]! - v) ** 2, 0));
  const first = smooth ? (difference / l2) * Math.sqrt(got.length / first4.length) : difference / l2;
  return Math.max(Math.abs(norm(got) - l2) / l2, Math.abs(total(got) - sum) / (Math.sqrt(got.length) * l2), first);
}

export function largest(values: Float32Array): number {
  return worst(values.length, (i) => values[i]!);
}

function norm(values: Float32Array): number {
  let squares = 0;
  for (const value of values) squares += value * value;
  return Math.sqrt(squares);
}

function total(values: Float32Array): number {
  let sum = 0;
  for (const value of values) sum += value;
  return sum;
}

function worst(count: number, difference: (i: number) => number): number {
  let most = 0;
  for (let i = 0; i < count; i++) {
    const size = Math.abs(difference(i));
    if (!(size <= most)) most = size;
    if (Number.isNaN(size)) break;
  }
  return most;
}

function product(shape: readonly number[]): number {
  return shape.reduce((a, b) => a * b, 1);
}

/** Tensors of one kind share a row. */
export function activationGroup(name: string): string {
  return `activation ${name}`;
}

/** `dense_decoder.dec.0.conv.0.weight` → `decoder dec`. */
export function gradientGroup(key: string): string {
  const [first, second] = key.split('.');
  if (first === 'sparse_encoder') return second === 'mae' ? 'transformer' : 'encoder';
  return first === 'dense_decoder' ? 'decoder' : 'densify';
}

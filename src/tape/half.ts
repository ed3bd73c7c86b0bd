/** Numbers that lie in memory as f16, read by the host: `Float16Array` is younger than some browsers that have WebGPU. */

import type { Tensor } from './tensor.ts';

/** The values of a tensor from its bytes, which may be used up. */
export function valuesOf(
  { size, storage }: Pick<Tensor, 'size' | 'storage'>,
  bytes: ArrayBuffer,
): Float32Array<ArrayBuffer> {
  if (storage === 'f16') return Float32Array.from(new Uint16Array(bytes, 0, size), fromHalf);
  return new Float32Array(bytes, 0, size);
}

/** The number that 16 bits mean as IEEE 754 binary16: 1 bit of sign, 5 of exponent, 10 of fraction. */
export function fromHalf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1024 + fraction) * 2 ** (exponent - 25);
}

/** Rounds to the nearest number that f16 holds, ties to even; infinity beyond 65504. */
export function roundToHalf(value: number): number {
  const size = Math.abs(value);
  if (!(size > 0) || size === Number.POSITIVE_INFINITY) return value;
  // The distance between neighbours: 2^-10 of the power of two below, 2^-24 among the smallest.
  const step = 2 ** Math.max(Math.floor(Math.log2(size)) - 10, -24);
  const steps = size / step;
  const down = Math.floor(steps);
  const rest = steps - down;
  const nearest = rest > 0.5 || (rest === 0.5 && down % 2 === 1) ? down + 1 : down;
  const rounded = nearest * step;
  return Math.sign(value) * (rounded > 65504 ? Number.POSITIVE_INFINITY : rounded);
}

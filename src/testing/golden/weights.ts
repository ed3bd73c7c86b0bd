/** Weights from names: golden/README.md, "Weights from names". All in float32, one rounding an operation. */

import { goldenWords } from '../../random.ts';
import { type Shape, sizeOf } from '../../tape/tensor.ts';

const f32 = Math.fround;
const TENTH = f32(0.1);
const FIFTH = f32(0.2);

/** Values of a state-dict entry in PyTorch's order; none for the position table, which is computed, and for counters. */
export function goldenWeight(key: string, shape: Shape, seed: number): Float32Array | undefined {
  if (key.endsWith('pos_embed') || key.endsWith('num_batches_tracked')) return undefined;
  const words = goldenWords(key, seed);
  const fill = (value: (unit: number) => number) => {
    const values = new Float32Array(sizeOf(shape));
    // unit: 24 bits in [-1, 1), exact in float32
    for (let i = 0; i < values.length; i++) values[i] = value(((words(i) >>> 8) - 2 ** 23) * 2 ** -23);
    return values;
  };
  if (key.includes('mask_token')) return fill((unit) => unit * 0.5);
  if (key.endsWith('running_mean')) return fill((unit) => unit * TENTH);
  if (key.endsWith('running_var')) return fill((unit) => 1 + f32(unit * TENTH));
  if (shape.length >= 2) {
    const scale = f32(1 / Math.sqrt(sizeOf(shape.slice(1))));
    return fill((unit) => unit * scale);
  }
  if (key.endsWith('.weight')) return fill((unit) => 1 + f32(unit * TENTH));
  return fill((unit) => unit * TENTH); // .bias
}

/** Batch norms moved so that every ReLU input stays above zero: `norm` says whether a prefix is a batch norm's. */
export function smoothed(key: string, values: Float32Array, isBatchNorm: (prefix: string) => boolean): Float32Array {
  const dot = key.lastIndexOf('.');
  if (!isBatchNorm(key.slice(0, dot))) return values;
  const field = key.slice(dot + 1);
  if (field === 'weight') return values.map((v) => v * FIFTH);
  return field === 'bias' ? values.map((v) => v + 1.5) : values;
}

/**
 * Initial weights, drawn from the counter-based generator by (seed, parameter's name, element): the same on every machine and
 * whatever the order, not equal to PyTorch's. Drawn on the CPU, once a run, so that they do not depend on a GPU's
 * logarithm. Which layer starts how: MODEL.md, "How weights start".
 */

import { Random } from '../random.ts';

export type Initialiser =
  | { readonly kind: 'constant'; readonly value: number }
  | { readonly kind: 'uniform'; readonly bound: number } // in ±bound
  | { readonly kind: 'normal'; readonly deviation: number; readonly cut: number } // redrawn beyond ±cut
  | { readonly kind: 'table'; readonly values: () => Float32Array<ArrayBuffer> }; // fixed, not drawn

export const zeros: Initialiser = { kind: 'constant', value: 0 };
export const ones: Initialiser = { kind: 'constant', value: 1 };

/** PyTorch's default for convolutions, weight and bias: uniform in ±1/√fanIn. */
export function fanInUniform(fanIn: number): Initialiser {
  return { kind: 'uniform', bound: 1 / Math.sqrt(fanIn) };
}

/** Xavier uniform: ±√(6 / (fanIn + fanOut)). */
export function xavierUniform(fanIn: number, fanOut: number): Initialiser {
  return { kind: 'uniform', bound: Math.sqrt(6 / (fanIn + fanOut)) };
}

/** Kaiming normal over fan out with ReLU's gain: deviation √(2 / fanOut). */
export function kaimingNormal(fanOut: number): Initialiser {
  return { kind: 'normal', deviation: Math.sqrt(2 / fanOut), cut: Number.POSITIVE_INFINITY };
}

export function truncatedNormal(deviation: number, cut: number): Initialiser {
  return { kind: 'normal', deviation, cut };
}

/** Times a draw is repeated at most when it falls beyond the cut; at a cut of one deviation 1 in 10¹⁶ needs more. */
const MOST_REDRAWS = 32;

/** The first `count` values of a parameter. */
export function initialValues(
  initialiser: Initialiser,
  seed: number,
  name: string,
  count: number,
): Float32Array<ArrayBuffer> {
  if (initialiser.kind === 'table') return initialiser.values();
  const values = new Float32Array(count);
  if (initialiser.kind === 'constant') return values.fill(initialiser.value);
  const random = Random.of(seed, 'initial weights', name);
  if (initialiser.kind === 'uniform') {
    for (let i = 0; i < count; i++) values[i] = (2 * random.uniform(i) - 1) * initialiser.bound;
    return values;
  }
  const { deviation, cut } = initialiser;
  for (let i = 0; i < count; i++) {
    let value = deviation * random.normal(i);
    for (let again = 1; Math.abs(value) > cut && again <= MOST_REDRAWS; again++) {
      value = deviation * Random.of(seed, 'initial weights', name, 'redraw', again).normal(i);
    }
    values[i] = Math.abs(value) > cut ? 0 : value;
  }
  return values;
}

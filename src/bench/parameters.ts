/** Kinds of parameters. */

import { HysparkError } from '../errors.ts';
import type { Parameter } from './benchmark.ts';

/** The name is put in by whoever knows it. */
function refuse(got: string, need: string): never {
  throw new HysparkError('bad-argument', { doing: 'Parameter', got: `"${got}"`, need });
}

export function numberIn(text: string, [least, most]: readonly [number, number], isWhole: boolean): number {
  const value = text === '' ? Number.NaN : Number(text);
  const right = value >= least && value <= most && (!isWhole || Number.isInteger(value));
  return right ? value : refuse(text, `a ${isWhole ? 'whole ' : ''}number from ${least} to ${most}`);
}

export function whole(initial: number, range: readonly [number, number], about: string): Parameter<number> {
  return { about, default: String(initial), parse: (text) => numberIn(text, range, true) };
}

/** A list with commas. */
export function numbers(
  initial: readonly number[],
  range: readonly [number, number],
  isWhole: boolean,
  about: string,
): Parameter<readonly number[]> {
  return {
    about,
    default: initial.join(','),
    parse: (text) => text.split(',').map((part) => numberIn(part.trim(), range, isWhole)),
  };
}

/** `initial`: the first unless told otherwise. */
export function oneOf<C extends readonly string[]>(
  choices: readonly [...C],
  about: string,
  initial: C[number] = choices[0]!,
): Parameter<C[number]> {
  return {
    about,
    default: initial,
    choices,
    parse: (text) => choices.find((choice) => choice === text) ?? refuse(text, choices.join(', ')),
  };
}

/** Some of several, with commas. */
export function someOf<T extends string>(
  choices: readonly T[],
  initial: readonly T[],
  about: string,
): Parameter<readonly T[]> {
  const find = (part: string) => choices.find((choice) => choice === part) ?? refuse(part, choices.join(', '));
  return { about, default: initial.join(','), parse: (text) => text.split(',').map((part) => find(part.trim())) };
}

export const PRESET = oneOf(['tiny', 'small', 'base'], 'network');
export const BATCH = whole(1, [1, 64], 'crops a step');
export const REPEATS = whole(9, [1, 1000], 'measurements of each; the median is shown, and the fastest and slowest');
export const MATRICES = oneOf(
  ['off', 'on'],
  'offer subgroup matrices to the choice of kernels, where the adapter has them',
);

/** `--set KEY=VALUE` of the command lines. */

import { HysparkError } from '../../errors.ts';
import { type Parametrised, parameterTexts, parseParameters } from '../benchmark.ts';

/** The parameters of `--set` for each benchmark that has them, checked before anything runs. */
export function settingsOf<B extends Parametrised>(
  chosen: readonly B[],
  set: readonly string[],
): Map<B, Record<string, string>> {
  const pairs = set.map((each) => {
    const at = each.indexOf('=');
    const key = each.slice(0, at);
    if (at > 0 && chosen.some(({ parameters }) => key in parameters)) return [key, each.slice(at + 1)] as const;
    throw new HysparkError('bad-argument', {
      doing: '--set',
      got: `"${each}"`,
      need: `KEY=VALUE, KEY one of ${[...new Set(chosen.flatMap(({ parameters }) => Object.keys(parameters)))].join(', ')}`,
    });
  });
  return new Map(
    chosen.map((benchmark) => {
      const own = Object.fromEntries(pairs.filter(([key]) => key in benchmark.parameters));
      parseParameters(benchmark, parameterTexts(benchmark, own));
      return [benchmark, own];
    }),
  );
}

/** A benchmark's parameters with their defaults, for `--help`. */
export function parametersText({ name, parameters }: Parametrised): string {
  const lines = Object.entries(parameters).map(([key, { default: initial, about, choices }]) => {
    const values = choices ? `${choices.join(', ')}: ` : '';
    return `    ${`${key}=${initial}`.padEnd(32)} ${values}${about}`;
  });
  return `  ${name}\n${lines.join('\n')}`;
}

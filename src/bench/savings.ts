/** The exact savings against the plain path, in turns, after comparing results and gradients. */

import { type Cell, clockOf, defineBenchmark } from './benchmark.ts';
import { oneOf, REPEATS, someOf } from './parameters.ts';
import { timeSaving } from './saving-case.ts';
import { DENSIFY_CASES } from './savings-densify.ts';
import { UP_CONV_CASES } from './savings-up-conv.ts';
import { WIDE_WINOGRAD_CASES, WINOGRAD_CASES } from './savings-winograd.ts';
import { ratios, type Spread, spread } from './statistics.ts';

interface Row {
  readonly name: string;
  readonly case: string;
  readonly pass: string;
  readonly plain: Spread;
  readonly saving: Spread;
  readonly speedup: Spread;
  readonly [key: string]: Cell;
}

const PASSES = ['forward', 'backward', 'both'] as const;
const CASES = {
  'up-conv': UP_CONV_CASES,
  densify: DENSIFY_CASES,
  winograd: WINOGRAD_CASES,
  'winograd-wide': WIDE_WINOGRAD_CASES,
};
const KINDS = ['up-conv', 'densify', 'winograd', 'winograd-wide'] as const;

export const SAVINGS = defineBenchmark({
  name: 'savings',
  title: 'Exact savings',
  about: 'Maps that the engine computes with fewer operations than the reference, beside the reference’s way.',
  parameters: {
    maps: someOf(
      KINDS,
      KINDS.slice(0, 3),
      'with commas: up-conv, upsampling and the convolution after it; densify and its projection; winograd, a 3³ convolution by Winograd’s algorithm, also after either of those; winograd-wide, the same in the widths of the base preset, for real GPUs',
    ),
    kernels: oneOf(['no', 'yes'], "where the saving way's time goes, too"),
    repeats: REPEATS,
  },
  async run({ maps, kernels, repeats }, { device: open, progress }) {
    const device = await open();
    const chosen = maps.flatMap((kind) => CASES[kind]);
    const rows: Row[] = [];
    const parts: Record<string, Cell>[] = [];
    for (const [n, c] of chosen.entries()) {
      progress(n, chosen.length, c.name);
      const times = await timeSaving(device, c, repeats);
      const of = (way: 'plain' | 'saving', key: string) => times[way].map((found) => found.get(key) ?? 0);
      for (const pass of PASSES) {
        const [plain, saving] = [of('plain', pass), of('saving', pass)];
        rows.push({
          name: `${c.name}, ${pass}`,
          case: c.name,
          pass,
          plain: spread(plain),
          saving: spread(saving),
          speedup: ratios(plain, saving),
        });
      }
      const total = spread(of('saving', 'both')).median;
      for (const key of times.saving[0]!.keys()) {
        if (PASSES.some((pass) => pass === key)) continue;
        const time = spread(of('saving', key));
        parts.push({ name: `${c.name}, ${key}`, time, share: (100 * time.median) / total });
      }
    }
    const ofParts = {
      name: 'kernels of the saving way',
      columns: [
        { key: 'name', label: 'kernel' },
        { key: 'time', label: 'time', unit: 'ms' },
        { key: 'share', label: 'share', unit: '%' },
      ],
      rows: parts,
    } as const;
    return {
      tables: [
        {
          name: 'savings',
          columns: [
            { key: 'name', label: 'map' },
            { key: 'plain', label: 'plain', unit: 'ms' },
            { key: 'saving', label: 'saving', unit: 'ms' },
            { key: 'speedup', label: 'plain ÷ saving', unit: '×' },
          ],
          rows,
        },
        ...(kernels === 'yes' ? [ofParts] : []),
      ],
      charts: [
        {
          kind: 'bars',
          title: 'Plain time ÷ saving time',
          unit: '×',
          groups: chosen.map(({ name }) => ({
            name,
            bars: rows
              .filter((row) => row.case === name && row.pass !== 'both')
              .map(({ pass, speedup: { median, low, high } }) => ({ series: pass, value: median, low, high })),
          })),
        },
      ],
      notes: [
        'Before timing, the results and all gradients of both ways were compared (10⁻⁵ of the tensor in L2).',
        `Times are by ${clockOf(device.report)}. Both ways in turns, with a mask ratio of 0.75 where it matters.`,
      ],
    };
  },
});

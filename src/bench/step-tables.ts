/** Where a step's time goes: tables and a chart of its launches, timed one by one. */

import type { Plan } from '../tape/plan.ts';
import type { Chart, Table } from './benchmark.ts';

type Profile = Awaited<ReturnType<Plan['profile']>>;

const MOST_ROWS = 18;

export function layersOf(profiled: Profile): Table {
  return tableOf('layers', profiled, layerOf);
}

export function familiesOf(profiled: Profile): Table {
  return tableOf('kernel families', profiled, ({ kernel }) => kernel.id.replace(/[([].*/, ''));
}

/** `encoder/stage1/…` and `encoder/stage1.0` belong together; a launch's own kind at the end does not count. */
function layerOf({ label, backward, kernel }: Profile[number]['dispatch']): string {
  if (/^(adamw|squares|(scaled-)?clip|sum-gradients)/.test(kernel.id)) return 'optimiser'; // belongs to no op
  const layer = label
    .split('/')
    .slice(0, 2)
    .join('/')
    .replace(/\/d?[a-z]\w*$/i, '');
  return `${layer}${backward ? ' (backward)' : ''}`;
}

function tableOf(
  title: 'layers' | 'kernel families',
  profiled: Profile,
  name: (dispatch: Profile[number]['dispatch']) => string,
): Table {
  const total = profiled.reduce((sum, p) => sum + p.nanoseconds, 0);
  const groups = new Map<string, { nanoseconds: number; flop: number; launches: number }>();
  for (const { dispatch, nanoseconds } of profiled) {
    const group = groups.get(name(dispatch)) ?? { nanoseconds: 0, flop: 0, launches: 0 };
    group.nanoseconds += nanoseconds;
    group.flop += dispatch.launch.flops ?? 0;
    group.launches++;
    groups.set(name(dispatch), group);
  }
  const sorted = [...groups].sort(([, a], [, b]) => b.nanoseconds - a.nanoseconds);
  const rest = sorted.splice(MOST_ROWS).map(([, group]) => group);
  if (rest.length > 0) {
    const over = (key: 'nanoseconds' | 'flop' | 'launches') => rest.reduce((total, group) => total + group[key], 0);
    const all = { nanoseconds: over('nanoseconds'), flop: over('flop'), launches: over('launches') };
    sorted.push([`${rest.length} others`, all]);
  }
  return {
    name: title,
    columns: [
      { key: 'name', label: title === 'layers' ? 'layer' : 'family' },
      { key: 'launches', label: 'launches' },
      { key: 'time', label: 'time', unit: 'ms' },
      { key: 'share', label: 'share', unit: '%' },
      { key: 'gflops', label: 'speed', unit: 'GFLOP/s' },
    ],
    rows: sorted.map(([key, { nanoseconds, flop, launches }]) => ({
      name: key,
      launches,
      time: nanoseconds / 1e6,
      share: (100 * nanoseconds) / total,
      gflops: flop > 0 ? flop / nanoseconds : undefined,
    })),
  };
}

/** Forward and backward of the layers that take most. */
export function sharesOf({ rows }: Table): Chart {
  const shareOf = (name: string) => (rows.find((row) => row.name === name)?.share as number | undefined) ?? 0;
  const named = rows.filter(({ name }) => !String(name).endsWith(' others'));
  const layers = [...new Set(named.map(({ name }) => String(name).replace(' (backward)', '')))];
  return {
    kind: 'bars',
    title: 'Share of the GPU’s time by layer',
    unit: '%',
    stacked: true,
    groups: layers
      .map((name) => ({
        name,
        bars: [
          { series: 'forward', value: shareOf(name) },
          { series: 'backward', value: shareOf(`${name} (backward)`) },
        ],
      }))
      .sort((a, b) => sum(b.bars) - sum(a.bars))
      .slice(0, 16),
  };
}

function sum(bars: readonly { readonly value: number }[]): number {
  return bars.reduce((all, { value }) => all + value, 0);
}

/** Plots of results as SVG in the theme's colours: bars, and lines over a number. The tables beside them say the same in figures. */

import { html, nothing, svg, type TemplateResult } from 'lit';
import { digits } from '../../app/text.ts';
import { ticks } from '../../train/ticks.ts';
import type { Bar, Chart } from '../benchmark.ts';

/** About so many marks an axis has. */
const MARKS = 6;

type Bars = Extract<Chart, { kind: 'bars' }>;
type Lines = Extract<Chart, { kind: 'lines' }>;

export function chartView(chart: Chart): TemplateResult {
  return html`
    <figure class="card plot">
      <figcaption class="row">
        <h2>${chart.title}</h2>
        <span class="spring"></span>
        ${legend(chart)}
      </figcaption>
      ${chart.kind === 'bars' ? bars(chart) : lines(chart)}
    </figure>
  `;
}

function legend(chart: Chart) {
  const names = seriesOf(chart);
  if (names.length < 2) return nothing;
  const guides = chart.kind === 'lines' ? chart.series.filter(({ guide }) => guide).map(({ name }) => name) : [];
  return html`<ul class="legend">
    ${names.map((name, n) => html`<li class=${guides.includes(name) ? 'guide' : `series-${n}`}>${name}</li>`)}
  </ul>`;
}

function seriesOf(chart: Chart): readonly string[] {
  if (chart.kind === 'lines') return chart.series.map(({ name }) => name);
  return [...new Set(chart.groups.flatMap((group) => group.bars.map(({ series }) => series)))];
}

const WIDTH = 1000;
const THICK = 13;
const GAP = 9;
/** Right of the longest bar: its figure. */
const ROOM = 64;

function bars(chart: Bars): TemplateResult {
  const { groups, stacked } = chart;
  const series = seriesOf(chart);
  const left = Math.min(420, 14 + 6.4 * Math.max(...groups.map(({ name }) => name.length)));
  const total = (list: readonly Bar[]) => list.reduce((sum, { value }) => sum + value, 0);
  const longest = Math.max(
    ...groups.map((group) => (stacked ? total(group.bars) : Math.max(...group.bars.map((b) => b.value)))),
  );
  // Room for what was measured once in a bad moment, but not all of it.
  const furthest = Math.max(longest, ...groups.flatMap((group) => group.bars.map(({ high }) => high ?? 0)));
  const highest = stacked ? longest : Math.min(furthest, 1.4 * longest);
  const marks = ticks(0, highest, MARKS);
  const scale = (WIDTH - left - ROOM) / (Math.max(highest, marks.at(-1)!) || 1);
  const x = (value: number) => Math.min(left + value * scale, WIDTH - ROOM + 12);
  let y = 4;
  const drawn = groups.map((group) => {
    const top = y;
    const rows = stacked ? 1 : group.bars.length;
    y += rows * THICK + GAP;
    let start = 0;
    const parts = group.bars.map((bar, n) => {
      const at = stacked ? top : top + n * THICK;
      const from = stacked ? start : 0;
      start += bar.value;
      return svg`
        <rect class="series-${series.indexOf(bar.series)}" x=${x(from)} y=${at} width=${Math.max(1, x(from + bar.value) - x(from))} height=${THICK - 2}></rect>
        ${stacked ? nothing : whisker(bar, x, at + THICK / 2 - 1)}
        ${stacked ? nothing : svg`<text class="figure" x=${x(Math.max(bar.value, bar.high ?? 0)) + 5} y=${at + THICK - 3.5}>${digits(bar.value)}</text>`}
      `;
    });
    return svg`
      <text class="name" x=${left - 8} y=${top + (rows * THICK) / 2 + 3} text-anchor="end">${group.name}</text>
      ${parts}
      ${stacked ? svg`<text class="figure" x=${x(start) + 5} y=${top + THICK - 3.5}>${digits(start)}</text>` : nothing}
    `;
  });
  return html`<svg viewBox="0 0 ${WIDTH} ${y + 18}" role="img" aria-label="${chart.title}; the figures are in the table">
    ${marks.map(
      (mark) => svg`
      <line class="grid" x1=${x(mark)} x2=${x(mark)} y1="0" y2=${y}></line>
      <text class="tick" x=${x(mark)} y=${y + 13} text-anchor="middle">${digits(mark)}${mark === marks.at(-1) ? ` ${chart.unit}` : ''}</text>
    `,
    )}
    ${drawn}
  </svg>`;
}

function whisker({ low, high, value }: Bar, x: (value: number) => number, y: number) {
  if (low === undefined || high === undefined || low === high || value === 0) return nothing;
  return svg`<line class="whisker" x1=${x(low)} x2=${x(high)} y1=${y} y2=${y}></line>`;
}

const [HEIGHT, LEFT, BOTTOM] = [300, 52, 40];

function lines({ title, x: xLabel, y: yLabel, series }: Lines): TemplateResult {
  const measured = series.flatMap(({ points }) => points);
  const xs = measured.map(({ x }) => x);
  const [first, last] = [Math.min(0, ...xs), Math.max(...xs)];
  const [xMarks, yMarks] = [ticks(0, last, MARKS), ticks(0, Math.max(0, ...measured.map(({ y }) => y)), MARKS)];
  const most = (Math.max(yMarks.at(-1)!, ...measured.map(({ y }) => y)) || 1) * 1.04;
  const width = WIDTH;
  const px = (x: number) => LEFT + ((x - first) / (last - first || 1)) * (width - LEFT - 16);
  const py = (y: number) => HEIGHT - BOTTOM - (Math.min(y, most) / most) * (HEIGHT - BOTTOM - 8);
  return html`<svg viewBox="0 0 ${width} ${HEIGHT}" role="img" aria-label="${title}; the figures are in the table">
    ${yMarks.map(
      (mark) => svg`
      <line class="grid" x1=${LEFT} x2=${width - 16} y1=${py(mark)} y2=${py(mark)}></line>
      <text class="tick" x=${LEFT - 7} y=${py(mark) + 4} text-anchor="end">${digits(mark)}</text>
    `,
    )}
    ${xMarks.map(
      (mark) => svg`
      <line class="grid" x1=${px(mark)} x2=${px(mark)} y1=${py(most)} y2=${py(0)}></line>
      <text class="tick" x=${px(mark)} y=${py(0) + 16} text-anchor="middle">${digits(mark)}</text>
    `,
    )}
    <text class="tick" x=${(LEFT + width) / 2} y=${HEIGHT - 6} text-anchor="middle">${xLabel}</text>
    <text class="tick" transform="translate(12 ${(HEIGHT - BOTTOM) / 2}) rotate(-90)" text-anchor="middle">${yLabel}</text>
    ${series.map(({ points, guide }, n) => {
      const path = points.map(({ x, y }, i) => `${i === 0 ? 'M' : 'L'}${px(x)} ${py(y)}`).join('');
      if (guide) return svg`<path class="guide" d=${path}></path>`;
      return svg`
        <path class="series-${n}" d=${path}></path>
        ${points.map(
          ({ x, y, low, high }) => svg`
          ${low === undefined || high === undefined ? nothing : svg`<line class="whisker" x1=${px(x)} x2=${px(x)} y1=${py(low)} y2=${py(high)}></line>`}
          <circle class="series-${n}" cx=${px(x)} cy=${py(y)} r="4"></circle>
        `,
        )}
      `;
    })}
  </svg>`;
}

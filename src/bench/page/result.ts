/** A result on its page: conditions, plots, tables, notes, the file. */

import { html, nothing, type TemplateResult } from 'lit';
import type { BenchReport, Cell, Table } from '../benchmark.ts';
import { cellText, heading, isNumeric, rangeText } from '../format.ts';
import { chartView } from './chart.ts';

export function resultView(report: BenchReport): TemplateResult {
  const { adapter, tables, charts, notes } = report;
  return html`
    <section class="result" aria-label="Result">
      <div class="row">
        <h2>Result</h2>
        <span class="muted">commit ${report.commit}, ${new Date(report.date).toLocaleString()}, took ${report.seconds.toFixed(0)} s; medians, fastest and slowest beside them</span>
        <span class="spring"></span>
        <button @click=${() => download(report)}>Download JSON</button>
      </div>
      ${adapter && adapter.class !== 'gpu' ? html`<p class="message warn">A software adapter: the processor stands in for a GPU. Ratios tell something, times only of this machine now.</p>` : nothing}
      ${charts.map(chartView)} ${tables.map(tableView)}
      <ul class="card bench-notes">${notes.map((note) => html`<li>${note}</li>`)}</ul>
    </section>
  `;
}

function tableView(table: Table): TemplateResult {
  const { columns, rows, name } = table;
  const numeric = columns.map((column) => (isNumeric(table, column) ? 'number' : ''));
  return html`
    <div class="card figures" tabindex="0" role="region" aria-label="Table: ${name}">
      <table>
        <caption>${name}</caption>
        <thead><tr>${columns.map((column, c) => html`<th scope="col" class=${numeric[c]!}>${heading(column)}</th>`)}</tr></thead>
        <tbody>
          ${rows.map(
            (row) => html`<tr>
              ${columns.map(({ key }, c) => (c === 0 ? html`<th scope="row">${cellText(row[key])}</th>` : html`<td class=${numeric[c]!}>${cellView(row[key])}</td>`))}
            </tr>`,
          )}
        </tbody>
      </table>
    </div>
  `;
}

function cellView(cell: Cell) {
  const range = rangeText(cell);
  return range ? html`${cellText(cell)}<span class="range">${range}</span>` : cellText(cell);
}

/** The same form as `npm run bench -- --json` writes, so that files can be compared. */
function download(report: BenchReport): void {
  const url = URL.createObjectURL(new Blob([`${JSON.stringify([report], null, 1)}\n`], { type: 'application/json' }));
  const link = document.createElement('a');
  link.href = url;
  link.download = `hyspark-${report.benchmark}-${report.date.slice(0, 19).replace(/:/g, '-')}.json`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

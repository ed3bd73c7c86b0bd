/** Results as text: for the page's tables, the terminal and `BENCHMARKS.md`. */

import { digits } from '../app/text.ts';
import type { BenchReport, Cell, Column, Table, Unit } from './benchmark.ts';

/** Of these a software adapter's say nothing to others: they depend on the processor and who else uses it. */
const ABSOLUTE: readonly (Unit | undefined)[] = ['ms', 'GFLOP/s', 'GB/s', 'crops/s', 'scans/min'];

export function heading({ label, unit }: Column): string {
  return unit && unit !== '×' ? `${label}, ${unit}` : label;
}

export function cellText(cell: Cell): string {
  if (typeof cell === 'string') return cell;
  if (typeof cell === 'number') return digits(cell);
  return cell === undefined ? '' : digits(cell.median);
}

/** Fastest and slowest, as `1.2–1.4`. */
export function rangeText(cell: Cell): string {
  return typeof cell === 'object' && cell.high > cell.low ? `${digits(cell.low)}–${digits(cell.high)}` : '';
}

function withRange(cell: Cell): string {
  const range = rangeText(cell);
  return range ? `${cellText(cell)} (${range})` : cellText(cell);
}

export function isNumeric(table: Table, { key }: Column): boolean {
  return table.rows.some((row) => row[key] !== undefined && typeof row[key] !== 'string');
}

/** Where and when, in one line. */
export function conditions({ adapter, host, processors, commit, date }: BenchReport): string {
  const gpu = adapter ? `${adapter.name} (${adapter.class}), ` : '';
  return `${gpu}${host}, ${processors} processors, commit ${commit}, ${date.slice(0, 16).replace('T', ' ')} UTC`;
}

/** A whole report for the terminal. */
export function reportText(title: string, report: BenchReport): string {
  const tables = report.tables.map((table) => `\n${tableText(table)}`);
  const notes = report.notes.map((note) => `· ${note}`);
  return [`${title} · ${conditions(report)}`, ...tables, ...notes].join('\n');
}

/** Columns of equal width; numbers to the right. */
export function tableText(table: Table): string {
  const { columns, rows } = table;
  const lines = [columns.map(heading), ...rows.map((row) => columns.map(({ key }) => withRange(row[key])))];
  const widths = columns.map((_, c) => Math.max(...lines.map((line) => line[c]!.length)));
  const right = columns.map((column) => isNumeric(table, column));
  const pad = (text: string, c: number) => (right[c] ? text.padStart(widths[c]!) : text.padEnd(widths[c]!));
  return lines.map((line) => line.map(pad).join('   ').trimEnd()).join('\n');
}

/**
 * A table that means the same on another machine: without absolute columns; of measured times stays how far apart the slowest and the
 * fastest were.
 */
export function relativeTable(table: Table): Table {
  const kept = table.columns.flatMap((column): Column[] => {
    if (!ABSOLUTE.includes(column.unit)) return [column];
    const isMeasured = table.rows.some((row) => typeof row[column.key] === 'object');
    return isMeasured ? [{ key: column.key, label: `${column.label}: slowest ÷ fastest`, unit: '×' }] : [];
  });
  const absolute = new Set(table.columns.filter(({ unit }) => ABSOLUTE.includes(unit)).map(({ key }) => key));
  const rows = table.rows.map((row) =>
    Object.fromEntries(
      kept.map(({ key }) => {
        const cell = row[key];
        return [key, absolute.has(key) && typeof cell === 'object' ? cell.high / cell.low : cell];
      }),
    ),
  );
  // A row whose measured cells were all absolute has nothing left to say.
  const says = rows.filter((row) => kept.slice(1).some(({ key }) => row[key] !== undefined));
  return { name: table.name, columns: kept, rows: says };
}

export function tableMarkdown(table: Table): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const { columns, rows } = table;
  return [
    line(columns.map(heading)),
    line(columns.map((column) => (isNumeric(table, column) ? '--:' : '---'))),
    ...rows.map((row) => line(columns.map(({ key }) => withRange(row[key])))),
  ].join('\n');
}

/** Two files of results side by side. */

import type { BenchReport, Table, Unit } from './benchmark.ts';
import { numberOf } from './statistics.ts';

/** What is compared: less is better in both. */
const COMPARED: readonly (Unit | undefined)[] = ['ms', 'MiB'];

export interface Comparison {
  /** Now ÷ before of each time and size, rows that both files have; beside each of the earlier reports, where those are several. */
  readonly table: Table;
  /** What should be known before reading it: other adapters, other parameters, rows that only one file has. */
  readonly warnings: readonly string[];
}

export function compareReports(before: readonly BenchReport[], now: readonly BenchReport[]): Comparison {
  const warnings: string[] = [];
  const rows = now.flatMap((report) => {
    const earlier = before.filter(({ benchmark }) => benchmark === report.benchmark);
    if (earlier.length === 0) warnings.push(`${report.benchmark}: not in the earlier file`);
    return earlier.flatMap((one) => {
      warnings.push(...differences(one, report));
      const rows = report.tables.flatMap((table) => {
        const other = one.tables.find(({ name }) => name === table.name);
        return other ? changes(report.benchmark, other, table, warnings) : [];
      });
      // PyTorch's file has a report for each precision: they differ in where, or how, they ran.
      return earlier.length === 1 ? rows : rows.map((row) => ({ ...row, name: `${row.name} · ${one.host}` }));
    });
  });
  return {
    warnings: [...new Set(warnings)],
    table: {
      name: 'now beside before',
      columns: [
        { key: 'name', label: 'measured' },
        { key: 'unit', label: 'unit' },
        { key: 'before', label: 'before' },
        { key: 'now', label: 'now' },
        { key: 'ratio', label: 'now ÷ before' },
        { key: 'verdict', label: '' },
      ],
      rows,
    },
  };
}

function differences(before: BenchReport, now: BenchReport): string[] {
  const found = [
    ['adapter', before.adapter?.name, now.adapter?.name],
    ['host', before.host, now.host],
    ...Object.keys(now.parameters).map((key) => [key, before.parameters[key], now.parameters[key]]),
  ] as const;
  return found
    .filter(([key, a, b]) => a !== b && key !== 'repeats')
    .map(([key, a, b]) => `${now.benchmark}: ${key} was ${a ?? 'none'}, is ${b ?? 'none'}`);
}

function changes(benchmark: string, before: Table, now: Table, warnings: string[]): Table['rows'] {
  const nameOf = (table: Table, row: Table['rows'][number]) => String(row[table.columns[0]!.key]);
  return now.rows.flatMap((row) => {
    const name = nameOf(now, row);
    const other = before.rows.find((each) => nameOf(before, each) === name);
    const counts = now.columns.some(({ key, unit }) => COMPARED.includes(unit) && row[key] !== undefined);
    if (!other && counts) warnings.push(`${benchmark}: "${name}" is not in the earlier file`);
    return now.columns.flatMap(({ key, label, unit }) => {
      const [a, b] = [other?.[key], row[key]];
      const [was, is] = [numberOf(a), numberOf(b)];
      if (!COMPARED.includes(unit) || !was || is === undefined) return [];
      // Ranges that overlap: the difference may be the machine's mood.
      const overlap = typeof a === 'object' && typeof b === 'object' && a.low <= b.high && b.low <= a.high;
      const verdict = overlap ? 'ranges overlap' : '';
      return [{ name: `${benchmark}: ${name}, ${label}`, unit, before: a, now: b, ratio: is / was, verdict }];
    });
  });
}

/** The table of a golden run: a row for each set and group of tensors. */

export type Status = 'pass' | 'fail' | 'not computed' | 'not yet';

export interface Row {
  readonly set: string;
  readonly group: string;
  readonly status: Status;
  /** Numbers that were compared. */
  readonly compared: number;
  /** The worst relative error and where it was; NaN when a value was not finite. */
  readonly worst: number;
  readonly at: string;
  readonly tolerance: number;
  /** Why something was left out. */
  readonly note?: string;
}

/** The rows of one set, in the order in which groups were first named. */
export class SetReport {
  private readonly groups = new Map<string, { compared: number; worst: number; at: string; tolerance: number }>();
  private readonly left: Row[] = [];

  constructor(readonly set: string) {}

  /** Adds a comparison: its relative error, and how many numbers it stands for. */
  add(group: string, tolerance: number, error: number, at: string, compared = 1): void {
    const known = this.groups.get(group) ?? { compared: 0, worst: 0, at: '', tolerance };
    known.compared += compared;
    if (Number.isNaN(error) || error > known.worst) {
      if (!Number.isNaN(known.worst)) Object.assign(known, { worst: error, at });
    }
    this.groups.set(group, known);
  }

  leaveOut(group: string, status: 'not computed' | 'not yet', note: string): void {
    this.left.push({ set: this.set, group, status, compared: 0, worst: 0, at: '', tolerance: 0, note });
  }

  get rows(): Row[] {
    const compared = [...this.groups].map(([group, { compared, worst, at, tolerance }]): Row => {
      const status = worst <= tolerance ? 'pass' : 'fail'; // NaN fails
      return { set: this.set, group, status, compared, worst, at, tolerance };
    });
    return [...compared, ...this.left];
  }
}

/** Rows as aligned text. */
export function table(rows: readonly Row[]): string {
  const number = (value: number) => (value === 0 ? '0' : value.toExponential(1));
  const lines = rows.map((row) =>
    row.note
      ? [row.set, row.group, '', '', '', row.status, row.note]
      : [
          row.set,
          row.group,
          String(row.compared),
          number(row.worst),
          number(row.tolerance),
          row.status === 'fail' ? 'FAIL' : row.status,
          row.at,
        ],
  );
  const all = [['set', 'group', 'compared', 'worst error', 'tolerance', 'result', 'worst at'], ...lines];
  const widths = all[0]!.map((_, column) => Math.max(...all.map((line) => line[column]!.length)));
  const right = new Set([2, 3, 4]);
  return all
    .map((line) =>
      line.map((cell, c) => (right.has(c) ? cell.padStart(widths[c]!) : cell.padEnd(widths[c]!))).join('  '),
    )
    .map((line) => line.trimEnd())
    .join('\n');
}

/** `hyspark inspect`: what a folder of scans holds, before anything is trained on it. */

import { Command } from 'commander';
import { type InspectedScan, type Inspection, type InspectionSummary, inspect } from '../../data/inspect.ts';
import { createDataPool } from '../data-pool.ts';
import { findFiles } from '../files.ts';
import { nodePlatform } from '../platform.ts';

export function inspectCommand(): Command {
  return new Command('inspect')
    .description('list the scans in files and folders: size, spacing, HU, what is unusual, what is unusable and why')
    .argument('<path...>', 'NIfTI files, DICOM files, folders')
    .option('--json', 'print JSON')
    .action(async (paths: string[], { json }: { json?: boolean }) => {
      const pool = createDataPool();
      try {
        const result = await inspect(await findFiles(paths), nodePlatform, pool);
        console.log(json ? JSON.stringify(result, null, 2) : formatInspection(result));
        if (result.scans.length === 0) process.exitCode = 1;
      } finally {
        pool.close();
      }
    });
}

/** The audit table as text. */
function formatInspection({ scans, setAside, ignored, summary }: Inspection): string {
  const rows = scans.map(scanRow);
  const head = ['scan', 'shape', 'spacing mm', 'axes', 'size mm', 'HU 1% 50% 99%', 'type', 'notes'];
  const lines = rows.length > 0 ? alignColumns([head, ...rows]) : [];
  if (setAside.length > 0) {
    lines.push('', 'Set aside:', ...setAside.map(({ path, reason }) => `  ${path}: ${reason}`));
  }
  lines.push(
    '',
    `${count(scans.length, 'usable scan')}, ${setAside.length} set aside, ${count(ignored, 'other file')} ignored.`,
  );
  if (summary) lines.push(...formatSummary(summary));
  return lines.join('\n');
}

function scanRow({ path, audit, hasLabel }: InspectedScan): string[] {
  const { shape, spacing, orientation, sizeMm, hu, dtype, notes } = audit;
  return [
    path,
    shape.join('×'),
    spacing.map((s) => s.toFixed(2)).join('×'),
    orientation,
    sizeMm.map((s) => s.toFixed(0)).join('×'),
    [hu.p1, hu.p50, hu.p99].join(' '),
    dtype,
    [...(hasLabel ? ['has a label map'] : []), ...notes].join('; '),
  ];
}

function formatSummary({ spacingMm, sizeMm, hu, suggestedCrop }: InspectionSummary): string[] {
  const spread = ([low, middle, high]: readonly [number, number, number], digits: number) =>
    `${middle.toFixed(digits)} (${low.toFixed(digits)} to ${high.toFixed(digits)})`;
  return [
    'Median (lowest to highest):',
    `  spacing, mm     ${spacingMm.map((s) => spread(s, 2)).join('  ')}`,
    `  size x y z, mm  ${sizeMm.map((s) => spread(s, 0)).join('  ')}`,
    `  HU 1% 50% 99%   ${hu.map((s) => spread(s, 0)).join('  ')}`,
    `Suggested crop: ${suggestedCrop}³ voxels of 1.5 mm.`,
  ];
}

function alignColumns(rows: readonly string[][]): string[] {
  const widths = rows[0]!.map((_, c) => Math.max(...rows.map((row) => row[c]!.length)));
  return rows.map((row) =>
    row
      .map((cell, c) => cell.padEnd(widths[c]!))
      .join('  ')
      .trimEnd(),
  );
}

function count(n: number, what: string): string {
  return `${n} ${what}${n === 1 ? '' : 's'}`;
}

/** The audit of a whole collection: one line a scan, and what they have in common. */

import type { Audit } from './audit.ts';
import { discover, type SetAside } from './discover.ts';
import type { FoundFile, Platform, ScanKind } from './source.ts';
import type { DataPool } from './worker/pool.ts';

export interface InspectedScan {
  readonly path: string;
  readonly kind: ScanKind;
  readonly hash: string;
  readonly audit: Audit;
  readonly hasLabel: boolean;
}

export interface Inspection {
  readonly scans: readonly InspectedScan[];
  readonly setAside: readonly SetAside[];
  readonly ignored: number;
  readonly summary?: InspectionSummary;
}

/** Medians and ranges [lowest, median, highest] over the usable scans. */
export interface InspectionSummary {
  readonly spacingMm: readonly (readonly [number, number, number])[];
  readonly sizeMm: readonly (readonly [number, number, number])[];
  /** Of each scan's percentiles 1, 50 and 99. */
  readonly hu: readonly (readonly [number, number, number])[];
  /** Edge of the training crop, voxels at 1.5 mm. */
  readonly suggestedCrop: number;
}

/** Crops that suit the presets, largest first. */
const CROPS = [96, 80, 64, 48];
const SPACING_MM = 1.5;

/** Looks at every scan among `files`. `progress` is told how many of how many scans are done. */
export async function inspect(
  files: readonly FoundFile[],
  platform: Platform,
  pool: DataPool,
  progress?: (done: number, total: number) => void,
): Promise<Inspection> {
  const found = await discover(files, platform.open);
  const setAside = [...found.setAside];
  let done = 0;
  // Results stay in the order of the paths, whichever worker is first.
  const results = await Promise.all(
    found.scans.map(async (source) => {
      const result = await pool.audit(source);
      progress?.(++done, found.scans.length);
      return { source, result };
    }),
  );
  const scans: InspectedScan[] = [];
  const firstOf = new Map<string, string>();
  for (const { source, result } of results) {
    const { path, kind, label } = source;
    if (!result.usable) setAside.push({ path, reason: result.reason });
    else if (firstOf.has(result.hash)) setAside.push({ path, reason: `The same as ${firstOf.get(result.hash)}.` });
    else {
      firstOf.set(result.hash, path);
      scans.push({ path, kind, hash: result.hash, audit: result.audit, hasLabel: label !== undefined });
    }
  }
  const summary = scans.length > 0 ? summarise(scans.map((scan) => scan.audit)) : undefined;
  return { scans, setAside, ignored: found.ignored, summary };
}

function summarise(audits: readonly Audit[]): InspectionSummary {
  const spread = (values: number[]): readonly [number, number, number] => {
    const sorted = values.sort((a, b) => a - b);
    return [sorted[0]!, sorted[sorted.length >> 1]!, sorted.at(-1)!];
  };
  const smallest = spread(audits.map((a) => Math.min(...a.sizeMm) / SPACING_MM))[1];
  return {
    spacingMm: [0, 1, 2].map((k) => spread(audits.map((a) => [...a.spacing].sort((x, y) => x - y)[k]!))),
    sizeMm: [0, 1, 2].map((k) => spread(audits.map((a) => a.sizeMm[k]!))),
    hu: [spread(audits.map((a) => a.hu.p1)), spread(audits.map((a) => a.hu.p50)), spread(audits.map((a) => a.hu.p99))],
    // The largest crop that the typical scan fills along its shortest axis.
    suggestedCrop: CROPS.find((crop) => crop <= smallest) ?? CROPS.at(-1)!,
  };
}

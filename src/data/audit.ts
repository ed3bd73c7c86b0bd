/** One line for each scan: what it is, and what was unusual. Nothing in it names a patient. */

import { cross, dot, perAxis, type Triple, voxelSize } from './affine.ts';
import { type HuStatistics, measure } from './measure.ts';
import { axisCodes, rasOrder } from './orientation.ts';
import type { Scan } from './scan.ts';

export interface Audit {
  /** As stored. */
  readonly shape: Triple;
  /** Voxel sizes along the stored axes, mm. */
  readonly spacing: Triple;
  /** Where the stored axes point, e.g. `LPS`. */
  readonly orientation: string;
  readonly dtype: string;
  /** Extent along the RAS axes, mm. */
  readonly sizeMm: Triple;
  readonly hu: HuStatistics;
  /** What was unusual, a phrase each; often empty. */
  readonly notes: readonly string[];
}

export function auditScan(scan: Scan): Audit {
  const { shape, affine } = scan.grid;
  const spacing = voxelSize(affine);
  const hu = measure(scan);
  const { axes } = rasOrder(affine);
  const notes = [...scan.notes];
  if (scan.nonFinite > 0) notes.push(`${scan.nonFinite} voxels not finite, read as air`);
  if (hu.min < -2048) notes.push(`padding of ${Math.round(hu.min)} HU`);
  if (Math.max(...spacing) > 6) notes.push(`thick slices of ${Math.max(...spacing).toFixed(1)} mm`);
  if (Math.min(...spacing) < 0.2) notes.push(`very fine voxels of ${Math.min(...spacing).toPrecision(2)} mm`);
  const bend = obliqueness(scan);
  if (bend.shear > 0.5) notes.push(`sheared by ${bend.shear.toFixed(1)}°`);
  if (bend.oblique > 1) notes.push(`oblique by ${bend.oblique.toFixed(1)}°`);
  return {
    shape,
    spacing,
    orientation: axisCodes(affine),
    dtype: scan.dtype,
    sizeMm: perAxis((k) => shape[axes[k]!]! * spacing[axes[k]!]!),
    hu,
    notes,
  };
}

/** Degrees by which axes are not square to each other, and by which they miss the patient's axes. */
function obliqueness({ grid }: Scan): { shear: number; oblique: number } {
  const { affine } = grid;
  const unit = [0, 1, 2].map((c) => {
    const v: Triple = [affine[c]!, affine[4 + c]!, affine[8 + c]!];
    const length = Math.hypot(...v);
    return perAxis((w) => v[w]! / length);
  }) as [Triple, Triple, Triple];
  const degrees = (sine: number) => (Math.asin(Math.min(1, Math.abs(sine))) * 180) / Math.PI;
  const shear = Math.max(...[0, 1, 2].map((i) => degrees(dot(unit[i]!, unit[(i + 1) % 3]!))));
  const { axes } = rasOrder(affine);
  const oblique = Math.max(
    ...[0, 1, 2].map((w) => {
      const world = perAxis((k) => (k === w ? 1 : 0));
      return degrees(Math.hypot(...cross(unit[axes[w]!]!, world)));
    }),
  );
  return { shear, oblique };
}

/**
 * Resampling a scan to a voxel size, trilinear in float64, as MONAI's `Spacingd` with `mode="bilinear"`,
 * `padding_mode="border"` (golden/README.md, "Loading chain"). Voxels are read where they are stored, whatever their
 * order, so reorienting costs no copy.
 */

import { HysparkError } from '../errors.ts';
import {
  type Affine,
  allClose,
  apply,
  column,
  fromColumns,
  invert,
  multiply,
  orthonormalAxes,
  perAxis,
  scaled,
  type Triple,
  voxelSize,
} from './affine.ts';
import type { Grid } from './orientation.ts';
import type { Scan } from './scan.ts';

/** Voxel sizes within this many mm of the wanted one stay as they are. */
const SPACING_TOLERANCE = 1e-3;
/** The most voxels that a resampled scan may have: 1 GiB of float32. */
const LARGEST_OUTPUT_VOXELS = 2 ** 28;

/** A volume of float32 with z fastest: voxel (x, y, z) is `voxels[(x * ny + y) * nz + z]`. */
export interface Volume {
  readonly shape: Triple;
  readonly voxels: Float32Array;
  /** Voxel indices to mm. */
  readonly affine: Affine;
}

/**
 * The grid of voxel size `spacing` mm over `grid`; undefined when it would be `grid` itself.
 * Error `set-aside`: a scan whose size in mm is absurd.
 */
export function targetGrid(grid: Grid, spacing: number): { shape: Triple; affine: Affine } | undefined {
  const old = grid.affine;
  const size = voxelSize(old).map((s) => (Math.abs(s - spacing) <= SPACING_TOLERANCE ? s : spacing));
  const axes = orthonormalAxes(old).map((axis, k) => scaled(axis, size[k]!)) as unknown as [Triple, Triple, Triple];
  const fromOld = multiply(invert(fromColumns(...axes, [0, 0, 0])), old);

  // The eight corner voxel centres, in new voxels around an origin that is still to be found.
  const last = perAxis((k) => grid.shape[k]! - 1);
  const corners = Array.from(
    { length: 8 },
    (_, i): Triple => [i & 4 ? last[0] : 0, i & 2 ? last[1] : 0, i & 1 ? last[2] : 0],
  );
  const seen = corners.map((corner) => apply(fromOld, corner));
  const low = perAxis((k) => Math.min(...seen.map((c) => c[k]!)));
  const shape = perAxis((k) => roundHalfEven(Math.max(...seen.map((c) => c[k]!)) - low[k]! + 1));
  if (!(shape[0] * shape[1] * shape[2] <= LARGEST_OUTPUT_VOXELS)) {
    const mm = perAxis((k) => Math.round(grid.shape[k]! * voxelSize(old)[k]!));
    throw new HysparkError('set-aside', {
      doing: `resampling to ${spacing} mm`,
      got: `a scan of ${mm.join(' × ')} mm`,
      need: `at most ${LARGEST_OUTPUT_VOXELS} voxels`,
      advice: 'The voxel sizes in its header are probably wrong',
    });
  }
  // The origin is the corner that is smallest along all new axes; a sheared grid may have none, then centres meet.
  const first = seen.findIndex((c) => c.every((value, k) => value - low[k]! <= 1e-8));
  const origin =
    first >= 0
      ? apply(old, corners[first]!)
      : (() => {
          const oldCentre = apply(
            old,
            perAxis((k) => grid.shape[k]! / 2),
          );
          const newCentre = apply(
            fromColumns(...axes, [0, 0, 0]),
            perAxis((k) => shape[k]! / 2),
          );
          return perAxis((w) => oldCentre[w]! - newCentre[w]!);
        })();
  const affine = fromColumns(...axes, origin);
  const same = shape.every((n, k) => n === grid.shape[k]) && allClose(affine, old, 1e-5, 1e-3);
  return same ? undefined : { shape, affine };
}

/** `scan` seen through `grid` (its own or `toRas` of it), resampled to `spacing` mm; HU, z fastest. */
export function resample(scan: Scan, grid: Grid, spacing: number): Volume {
  const target = targetGrid(grid, spacing);
  const { shape, affine } = target ?? grid;
  const voxels = new Float32Array(shape[0] * shape[1] * shape[2]);
  // New voxel indices to old ones; old positions are clamped to the volume.
  const map = target ? multiply(invert(grid.affine), affine) : IDENTITY;
  const rows = isAxisAligned(map, shape) ? alignedRows(grid, shape[0], map) : obliqueRows(grid, shape[0], map);
  const gather = scan.table ? gatherTable : gatherFloat;
  const [nx, ny, nz] = shape;
  // Output has z fastest, files have x fastest: in blocks of z, both sides of the transposition stay in cache.
  const block = new Float32Array(nx * BLOCK);
  for (let z0 = 0; z0 < nz; z0 += BLOCK) {
    const depth = Math.min(BLOCK, nz - z0);
    for (let y = 0; y < ny; y++) {
      for (let dz = 0; dz < depth; dz++) gather(scan, rows(y, z0 + dz), block, dz);
      for (let x = 0; x < nx; x++) {
        const from = x * BLOCK;
        const to = (x * ny + y) * nz + z0;
        for (let dz = 0; dz < depth; dz++) voxels[to + dz] = block[from + dz]!;
      }
    }
  }
  return { shape, voxels, affine };
}

const IDENTITY: Affine = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1];
const BLOCK = 16;

/**
 * Where to read one row of outputs (all x at one y, z): for each, the stored entry of the lowest of its eight
 * neighbours, and the share of the upper neighbour along each axis. `step` leads to the upper neighbours.
 */
interface Row {
  readonly base: Int32Array;
  readonly wx: Float64Array;
  readonly wy: Float64Array;
  readonly wz: Float64Array;
  readonly step: Triple;
}
type RowSource = (y: number, z: number) => Row;

/** Whether along every axis old positions depend on that axis alone, to within 1e-9 of a voxel. */
function isAxisAligned(map: Affine, shape: Triple): boolean {
  for (let r = 0; r < 3; r++) {
    for (let c = 0; c < 3; c++) if (r !== c && Math.abs(map[4 * r + c]!) * shape[c]! > 1e-9) return false;
  }
  return true;
}

function newRow(grid: Grid, nx: number): Row {
  // An axis of one voxel has no upper neighbour.
  const step = perAxis((k) => (grid.shape[k] === 1 ? 0 : grid.strides[k]!));
  return {
    base: new Int32Array(nx),
    wx: new Float64Array(nx),
    wy: new Float64Array(nx),
    wz: new Float64Array(nx),
    step,
  };
}

/** Lower neighbour of a position; the last voxel is reached with a share of 1 from the one before it. */
function lower(position: number, n: number): number {
  return Math.max(0, Math.min(Math.floor(position), n - 2));
}

function clamp(position: number, n: number): number {
  return Math.max(0, Math.min(position, n - 1));
}

/** Rows of an axis-aligned resampling: positions along each axis are tables. */
function alignedRows(grid: Grid, nx: number, map: Affine): RowSource {
  const row = newRow(grid, nx);
  const along = (axis: number, index: number) => {
    const position = clamp(map[5 * axis]! * index + map[4 * axis + 3]!, grid.shape[axis]!);
    const low = lower(position, grid.shape[axis]!);
    return { entry: low * grid.strides[axis]!, share: position - low };
  };
  const xEntries = new Int32Array(nx);
  for (let x = 0; x < nx; x++) {
    const { entry, share } = along(0, x);
    xEntries[x] = entry;
    row.wx[x] = share;
  }
  return (y, z) => {
    const inY = along(1, y);
    const inZ = along(2, z);
    const start = grid.offset + inY.entry + inZ.entry;
    for (let x = 0; x < nx; x++) row.base[x] = start + xEntries[x]!;
    row.wy.fill(inY.share);
    row.wz.fill(inZ.share);
    return row;
  };
}

/** Rows of a general resampling. */
function obliqueRows(grid: Grid, nx: number, map: Affine): RowSource {
  const row = newRow(grid, nx);
  const [nOldX, nOldY, nOldZ] = grid.shape;
  const [sx, sy, sz] = grid.strides;
  const perX = column(map, 0);
  return (y, z) => {
    const start = apply(map, [0, y, z]);
    for (let x = 0; x < nx; x++) {
      const px = clamp(perX[0] * x + start[0], nOldX);
      const py = clamp(perX[1] * x + start[1], nOldY);
      const pz = clamp(perX[2] * x + start[2], nOldZ);
      const lx = lower(px, nOldX);
      const ly = lower(py, nOldY);
      const lz = lower(pz, nOldZ);
      row.base[x] = grid.offset + lx * sx + ly * sy + lz * sz;
      row.wx[x] = px - lx;
      row.wy[x] = py - ly;
      row.wz[x] = pz - lz;
    }
    return row;
  };
}

/** Writes the row to entries `x * BLOCK + dz` of `block`; for voxels that are float32 HU. */
function gatherFloat({ voxels }: Scan, row: Row, block: Float32Array, dz: number): void {
  const { base, wx, wy, wz } = row;
  const [sx, sy, sz] = row.step;
  for (let x = 0; x < base.length; x++) {
    const a = base[x]!;
    const b = a + sy;
    const c = a + sz;
    const d = b + sz;
    const u = wx[x]!;
    const v00 = voxels[a]! + u * (voxels[a + sx]! - voxels[a]!);
    const v10 = voxels[b]! + u * (voxels[b + sx]! - voxels[b]!);
    const v01 = voxels[c]! + u * (voxels[c + sx]! - voxels[c]!);
    const v11 = voxels[d]! + u * (voxels[d + sx]! - voxels[d]!);
    const v0 = v00 + wy[x]! * (v10 - v00);
    const v1 = v01 + wy[x]! * (v11 - v01);
    block[x * BLOCK + dz] = v0 + wz[x]! * (v1 - v0);
  }
}

/** The same, with stored integers that a table turns into HU. */
function gatherTable(scan: Scan, row: Row, block: Float32Array, dz: number): void {
  const { base, wx, wy, wz } = row;
  const [sx, sy, sz] = row.step;
  const voxels = scan.voxels;
  const table = scan.table!;
  for (let x = 0; x < base.length; x++) {
    const a = base[x]!;
    const b = a + sy;
    const c = a + sz;
    const d = b + sz;
    const u = wx[x]!;
    const h00 = table[voxels[a]!]!;
    const h10 = table[voxels[b]!]!;
    const h01 = table[voxels[c]!]!;
    const h11 = table[voxels[d]!]!;
    const v00 = h00 + u * (table[voxels[a + sx]!]! - h00);
    const v10 = h10 + u * (table[voxels[b + sx]!]! - h10);
    const v01 = h01 + u * (table[voxels[c + sx]!]! - h01);
    const v11 = h11 + u * (table[voxels[d + sx]!]! - h11);
    const v0 = v00 + wy[x]! * (v10 - v00);
    const v1 = v01 + wy[x]! * (v11 - v01);
    block[x * BLOCK + dz] = v0 + wz[x]! * (v1 - v0);
  }
}

/** To the nearest integer, halves to the even one: NumPy's round. */
function roundHalfEven(x: number): number {
  const nearest = Math.round(x);
  return nearest - x === 0.5 && nearest % 2 !== 0 ? nearest - 1 : nearest;
}

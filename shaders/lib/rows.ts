/**
 * From an output row and a tap to the input row: the index arithmetic of every op that looks at neighbours.
 *
 * A feature map is [bricks, edge³, C]; a row is a voxel, row = brick · edge³ + (x · edge + y) · edge + z. Edges are powers of two,
 * so with s = log2(edge) a row's low 3s bits are its voxel and the rest its brick.
 */

/** Matrices in a launch of as many products. */
const BATCHES = [64, 75, 144, 600] as const;
type Batches = `batches${(typeof BATCHES)[number]}`;

/**
 * How taps address rows: itself (1 tap); its 27 neighbours through the brick table; its 8 children on the grid twice as fine; for
 * each child the 8 voxels whose corner it lies in; the 4³ voxels of the finer grid around it; the same row of some matrices.
 */
export type Addressing = 'rows' | 'neighbours' | 'children' | 'corners' | 'windows' | Batches;

const ofBatches = Object.fromEntries(BATCHES.map((n) => [`batches${n}`, n])) as Record<Batches, number>;

export const TAPS: Record<Addressing, number> = {
  rows: 1,
  neighbours: 27,
  children: 8,
  corners: 64,
  windows: 64,
  ...ofBatches,
};

/** Independent products in one launch, which share the taps out among them: one for each child, one for each matrix. */
export const PHASES: Record<Addressing, number> = {
  rows: 1,
  neighbours: 1,
  children: 1,
  corners: 8,
  windows: 1,
  ...ofBatches,
};

/** The addressing of so many matrices. */
export function batchesOf(count: number): Addressing {
  const found = BATCHES.find((n) => n === count);
  if (!found) throw new Error(`no launch has ${count} products`);
  return `batches${found}`;
}

/** Each tap is a product of its own: a matrix's. */
export function isBatched(addressing: Addressing): addressing is Batches {
  return addressing in ofBatches;
}

/** Addressing that looks across bricks' faces, and so reads the brick table. */
export function looksAround(addressing: Addressing): boolean {
  return addressing === 'neighbours' || addressing === 'corners' || addressing === 'windows';
}

export const NO_ROW = '0xffffffffu';

/**
 * WGSL `borderClass(row)`, for edges of at least 2: in base 3 for x, y, z, 0 where the row is the crop's first on that axis, 2 where it
 * is its last, 1 between. Needs the uniform `edgeLog2` and the binding `crop`, the neighbours of the table of all bricks.
 */
export const borderClass = `
fn borderOf(brick: u32, at: u32, stride: u32) -> u32 { // stride of the axis among the 27 neighbours
  let isFirst = at == 0u;
  let isLast = at == (1u << u.edgeLog2) - 1u;
  let isOutside = crop[brick * 27u + select(13u + stride, 13u - stride, isFirst)] == ${NO_ROW};
  return select(1u, select(2u, 0u, isFirst), isOutside && (isFirst || isLast));
}
fn borderClass(row: u32) -> u32 {
  let s = u.edgeLog2;
  let side = (1u << s) - 1u;
  let brick = row >> (3u * s);
  return borderOf(brick, (row >> (2u * s)) & side, 9u) * 9u + borderOf(brick, (row >> s) & side, 3u) * 3u + borderOf(brick, row & side, 1u);
}`;

/** WGSL `isInside(border, tap)`: whether the tap of a row of that border class falls inside the crop. */
export const isInside = `
fn staysOnAxis(border: u32, tap: u32) -> bool { return tap == 1u || tap != border; }
fn isInside(border: u32, tap: u32) -> bool {
  return staysOnAxis(border / 9u, tap / 9u) && staysOnAxis((border / 3u) % 3u, (tap / 3u) % 3u) && staysOnAxis(border % 3u, tap % 3u);
}`;

/**
 * WGSL `rowOf(row, tap)`: the input row, or NO_ROW where no brick is present. Needs the uniform `edgeLog2` and, to look
 * around, the binding `neighbours`. Taps count z fastest, an axis being
 * - neighbours: d + 1 of the voxel at d ∈ {−1, 0, 1};
 * - children: the child's place φ ∈ {0, 1};
 * - corners: 8 · φ + τ of child φ and the voxel at φ + τ − 1, τ ∈ {0, 1};
 * - windows: d + 1 of the finer voxel at d ∈ {−1 … 2} from the first child;
 * - batches: the matrix, of u.rows rows.
 */
export function rowOf(addressing: Addressing, name = 'rowOf'): string {
  if (addressing === 'rows') return `fn ${name}(row: u32, tap: u32) -> u32 { return row; }`;
  if (addressing === 'children') {
    return `
fn ${name}(row: u32, tap: u32) -> u32 {
  let s = u.edgeLog2;
  let side = (1u << s) - 1u;
  let fine = s + 1u;
  let x = (((row >> (2u * s)) & side) << 1u) + (tap >> 2u);
  let y = (((row >> s) & side) << 1u) + ((tap >> 1u) & 1u);
  let z = ((row & side) << 1u) + (tap & 1u);
  return ((row >> (3u * s)) << (3u * fine)) + (x << (2u * fine)) + (y << fine) + z;
}`;
  }
  if (isBatched(addressing)) return `fn ${name}(row: u32, tap: u32) -> u32 { return tap * u.rows + row; }`;
  const places = {
    neighbours: ['x + tap / 9u', 'y + (tap / 3u) % 3u', 'z + tap % 3u', 's'],
    corners: [
      'x + ((tap >> 5u) & 1u) + ((tap >> 2u) & 1u)',
      'y + ((tap >> 4u) & 1u) + ((tap >> 1u) & 1u)',
      'z + ((tap >> 3u) & 1u) + (tap & 1u)',
      's',
    ],
    windows: ['2u * x + (tap >> 4u)', '2u * y + ((tap >> 2u) & 3u)', '2u * z + (tap & 3u)', 's + 1u'],
  }[addressing];
  return `${VOXEL_AT}
fn ${name}(row: u32, tap: u32) -> u32 {
  let s = u.edgeLog2;
  let side = (1u << s) - 1u;
  let x = (row >> (2u * s)) & side;
  let y = (row >> s) & side;
  let z = row & side;
  return voxelAt(row >> (3u * s), ${places.join(', ')});
}`;
}

/** The row at brick coordinates plus one (so that −1 is 0), on a grid of bricks of edge 2^s, in this brick or one beside it. */
const VOXEL_AT = `
fn voxelAt(brick: u32, x: u32, y: u32, z: u32, s: u32) -> u32 {
  let edge = 1u << s;
  // 0, 1, 2: the brick before, this one, the brick after.
  let bx = (x + edge - 1u) >> s;
  let by = (y + edge - 1u) >> s;
  let bz = (z + edge - 1u) >> s;
  let slot = neighbours[brick * 27u + bx * 9u + by * 3u + bz];
  let voxel = (((x - 1u) & (edge - 1u)) << (2u * s)) + (((y - 1u) & (edge - 1u)) << s) + ((z - 1u) & (edge - 1u));
  return select((slot << (3u * s)) + voxel, ${NO_ROW}, slot == ${NO_ROW});
}`;

/**
 * From an output row and a tap to the input row: the index arithmetic of every op that looks at neighbours.
 *
 * A feature map is [bricks, edge³, C]; a row is a voxel, row = brick · edge³ + (x · edge + y) · edge + z. Edges are powers of two,
 * so with s = log2(edge) a row's low 3s bits are its voxel and the rest its brick.
 */

/** How taps address rows: itself (1 tap); its 27 neighbours through the brick table; its 8 children on the grid twice as fine. */
export type Addressing = 'rows' | 'neighbours' | 'children';

export const TAPS: Record<Addressing, number> = { rows: 1, neighbours: 27, children: 8 };

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
 * WGSL `rowOf(row, tap)`: the input row, or NO_ROW where no brick is present. Needs the uniform `edgeLog2` and, for
 * neighbours, the binding `neighbours`. Taps count z fastest: tap = (dx+1)·9 + (dy+1)·3 + (dz+1), or (dx·2 + dy)·2 + dz.
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
  return `
fn ${name}(row: u32, tap: u32) -> u32 {
  let s = u.edgeLog2;
  let edge = 1u << s;
  // Coordinates plus one, so that −1 is 0: the brick's interior is 1..edge.
  let x = ((row >> (2u * s)) & (edge - 1u)) + tap / 9u;
  let y = ((row >> s) & (edge - 1u)) + (tap / 3u) % 3u;
  let z = (row & (edge - 1u)) + tap % 3u;
  // 0, 1, 2: the brick before, this one, the brick after.
  let bx = (x + edge - 1u) >> s;
  let by = (y + edge - 1u) >> s;
  let bz = (z + edge - 1u) >> s;
  let slot = neighbours[(row >> (3u * s)) * 27u + bx * 9u + by * 3u + bz];
  let voxel = (((x - 1u) & (edge - 1u)) << (2u * s)) + (((y - 1u) & (edge - 1u)) << s) + ((z - 1u) & (edge - 1u));
  return select((slot << (3u * s)) + voxel, ${NO_ROW}, slot == ${NO_ROW});
}`;
}

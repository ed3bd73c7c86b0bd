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

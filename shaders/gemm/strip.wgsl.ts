/**
 * The product's micro-kernel for software adapters, where a storage load costs as much as a dozen multiply-adds and workgroup memory
 * is dearer still. Lanes are rows.
 *
 * Neighbours (3³): a lane owns `strips` strips of `length` voxels along z. For each (dx, dy) and input channel it loads the
 * strip's length + 2 values and uses them for the three dz taps, which halves the loads of a. Corners likewise, the same values
 * serving both taps of both children along z; windows load 2 · length + 2 values for four taps. Other addressings: strips of one
 * row, `unroll` input channels at a time.
 * Weights: with subgroups, one lane-parallel load holds (tap, column) or (channel, column) pairs, handed out by broadcasts
 * from constant lanes; without, each lane loads each weight.
 *
 * Tile of a subgroup: strips · length · lanes rows × `columns` columns; a workgroup is four subgroups. Control flow around subgroup
 * operations depends on uniforms only: a tile past the end is clamped, computed, and not stored. No workgroup memory.
 * Results are stored through a private array in a loop, which keeps the code small: a store an accumulator costs most of the compile time.
 */

import { type Kernel, kernel } from '../lib/kernel.ts';
import { looksAround, NO_ROW, PHASES, TAPS } from '../lib/rows.ts';
import { PRODUCT_UNIFORMS, type ProductVariant, productLibrary, productReads, productWrites } from './family.ts';
import { type StripForm, stripForm, stripRows } from './strip-form.ts';

export interface StripTile {
  /** Lanes of a subgroup; `subgroups` says whether to use its operations. */
  readonly lanes: number;
  readonly subgroups: boolean;
  readonly strips: number;
  /** Voxels of a strip, which divide the brick's edge; 1 unless addressing looks around. */
  readonly length: number;
  readonly columns: number;
  /** Input channels a step, where addressing does not look around. */
  readonly unroll: number;
  /** Four input channels in one load: needs unroll 4 and K divisible by 4. */
  readonly vec4: boolean;
}

export const SUBGROUPS_A_WORKGROUP = 4;

const range = (n: number) => Array.from({ length: n }, (_, i) => i);
const lines = (n: number, line: (i: number) => string) => range(n).map(line).join('\n    ');

/** Launch: x and z fold the row tiles, y counts column tiles, then phases: with corners pairs of children along z. */
export function stripProductKernel(variant: ProductVariant, tile: StripTile): Kernel {
  const { lanes, subgroups, strips, length, columns } = tile;
  const { addressing } = variant;
  const isStrip = looksAround(addressing);
  const form: StripForm = stripForm(addressing);
  const shared = isStrip ? form.weights : tile.unroll; // weights of a column in one step: dz taps, or channels
  const loads = Math.ceil((shared * columns) / lanes); // lane-parallel loads that hold them
  const rowsOfLane = strips * length * form.children; // of results
  // Entry (d, n) of the step's weights: lane (d · columns + n) mod lanes of load (d · columns + n) / lanes.
  const weight = (d: number, n: number) => {
    const entry = d * columns + n;
    if (subgroups) return `subgroupBroadcast(w${Math.floor(entry / lanes)}, ${entry % lanes}u)`;
    return isStrip ? `weight[at + ${d}u * strideTap + column${n}]` : `weight[at + ${d}u * strideInner + column${n}]`;
  };
  const weightPlaces = subgroups
    ? lines(loads, (g) => {
        const entry = `(lane + ${g * lanes}u)`;
        const stride = isStrip ? 'strideTap' : 'strideInner';
        return `let place${g} = min(n0 + ${entry} % ${columns}u, N - 1u) * strideColumn + min(${entry} / ${columns}u, ${shared - 1}u) * ${stride};
    let channel${g} = min(${entry} / ${columns}u, ${shared - 1}u);`;
      })
    : lines(columns, (n) => `let column${n} = min(n0 + ${n}u, N - 1u) * strideColumn;`);
  const weightLoads = !subgroups
    ? ''
    : lines(loads, (g) =>
        isStrip || shared === 1 || tile.vec4
          ? `let w${g} = weight[at + place${g}];`
          : `let w${g} = select(0.0, weight[at + select(0u, place${g}, k + channel${g} < K)], k + channel${g} < K);`,
      );
  const addresses = lines(strips, (s) => (isStrip ? stripAddresses(s, length, form) : rowAddress(s)));
  const values = lines(strips, (s) => {
    if (isStrip) return stripValues(s, length, form, variant.constant);
    if (tile.vec4) {
      const parts = ['x', 'y', 'z', 'w'].map((part, d) => `let a${s}_${d} = q${s}.${part};`).join(' ');
      return `let q${s} = select(a[(base${s} + k) / 4u], vec4f(0.0), gone${s}); ${parts}`;
    }
    // A channel past the end meets a weight of zero (subgroups) or is left out by unroll = 1.
    return lines(
      shared,
      (d) => `let a${s}_${d} = select(a[base${s} + ${d === 0 ? 'k' : `min(k + ${d}u, K - 1u)`}], 0.0, gone${s});`,
    );
  });
  const products = lines(columns, (n) => {
    const terms = (row: number) => {
      const child = row % form.children;
      const place = Math.floor(row / form.children);
      const s = Math.floor(place / length);
      const pairs = isStrip ? form.terms(place % length, child) : range(shared).map((d) => [d, d] as const);
      return pairs.map(([value, d]) => `a${s}_${value} * v${d}`).join(' + ');
    };
    return `{ ${range(shared)
      .map((d) => `let v${d} = ${weight(d, n)};`)
      .join(' ')} ${range(rowsOfLane)
      .map((row) => `sum${row}_${n} += ${terms(row)};`)
      .join(' ')} }`;
  });
  const taps = TAPS[addressing] / PHASES[addressing];
  const [tapLoop, weightBase] =
    addressing === 'corners'
      ? [
          // Voxels τ of the pair's first child, two along z at a time; their weights begin at the place of z = 0.
          'for (var tap = 16u * pair; tap < 16u * pair + 8u; tap += 2u)',
          '(windowOf(tap) - 3u)',
        ]
      : [`for (var tap = pair * ${taps}u; tap < (pair + 1u) * ${taps}u; tap += ${isStrip ? form.weights : 1}u)`, 'tap'];
  const channels = variant.constant ? 'K + 1u' : 'K';
  // Of neighbours, where only bricks before or after along z are present: one tap at each end of a strip.
  const ends = `for (var k = 0u; k < deepAtEnds; k++) {
    ${weightLoads}
    ${lines(strips, (s) => `${before(s)} ${after(s, length)}`)}
    ${lines(columns, (n) => {
      const sums = range(strips).map((s) => {
        const [first, last] = [s * length, (s + 1) * length - 1];
        return `sum${first}_${n} += a${s}_0 * v0; sum${last}_${n} += a${s}_${length + 1} * v2;`;
      });
      return `{ let v0 = ${weight(0, n)}; let v2 = ${weight(2, n)}; ${sums.join(' ')} }`;
    })}
      at += strideInner;
    }`;
  const code = `${productLibrary(variant)}
@compute @workgroup_size(${SUBGROUPS_A_WORKGROUP * lanes})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32${
    subgroups ? ', @builtin(subgroup_invocation_id) lane: u32' : ''
  }) {
  // A uniform read is a full load on SwiftShader: once each.
  let M = u.rows; let N = u.columns; let K = u.inner;
  let strideTap = u.strideTap; let strideInner = u.strideInner; let strideColumn = u.strideColumn;
  ${subgroups ? '' : `let lane = local % ${lanes}u;`}
  let subgroup = (group.z * groups.x + group.x) * ${SUBGROUPS_A_WORKGROUP}u + local / ${lanes}u;
  let m0 = (subgroup * ${strips * lanes}u + lane) * ${length}u; // strip s begins ${lanes * length} · s rows further on
  let tilesAcross = (N + ${columns - 1}u) / ${columns}u;
  let pair = group.y / tilesAcross; // a phase, or two with corners
  let n0 = (group.y % tilesAcross) * ${columns}u;
  ${weightPlaces}
  ${lines(strips, (s) => `let first${s} = min(m0 + ${s * lanes * length}u, M - ${length}u);`)}
  ${lines(rowsOfLane, (row) =>
    range(columns)
      .map((n) => `var sum${row}_${n} = 0.0;`)
      .join(' '),
  )}
  let channels = ${channels};
  ${tapLoop} {
    ${addresses}
    var at = u.base + ${weightBase} * strideTap;
    ${variant.skip ? presence(strips, subgroups) : 'let deep = channels;'}
    for (var k = 0u; k < deep; k += ${isStrip ? 1 : shared}u) {
    ${weightLoads}
    ${values}
    ${products}
      at += ${isStrip ? '' : `${shared}u * `}strideInner;
    }
    ${variant.skip ? ends : ''}
  }
  var results: array<f32, ${rowsOfLane * columns}>;
  ${lines(rowsOfLane, (row) =>
    range(columns)
      .map((n) => `results[${row * columns + n}] = sum${row}_${n};`)
      .join(' '),
  )}
  let across = min(${columns}u, N - n0);
  let down = min(${rowsOfLane}u, M); // M > 0: a bound that no compiler unrolls
  for (var row = 0u; row < down; row++) {
    let place = row / ${form.children}u;
    let m = m0 + (place / ${length}u) * ${lanes * length}u + place % ${length}u;
    let phase = pair * ${form.children}u + row % ${form.children}u;
    if (m < M) { let biasRow = biasRowOf(m); for (var n = 0u; n < across; n++) { store(phase, m, n0 + n, results[row * ${columns}u + n], biasRow); } }
  }
}`;
  return kernel({
    name: 'product-strip',
    variant: { ...variant, ...tile },
    reads: tile.vec4 ? { ...productReads(variant), a: 'vec4f' } : productReads(variant),
    writes: productWrites(variant),
    uniforms: { count: 'u32', ...PRODUCT_UNIFORMS },
    subgroups,
    divergent: subgroups && variant.skip,
    code,
  });
}

/** Element offsets of a strip's values: one before its own, its own, one after. */
function stripAddresses(s: number, length: number, form: StripForm): string {
  return `${stripRows(form, length, `first${s}`, 'tap', String(s))}
    let noBefore${s} = before${s} == ${NO_ROW}; let noOwn${s} = own${s} == ${NO_ROW}; let noAfter${s} = after${s} == ${NO_ROW};
    let b${s} = select(before${s}, 0u, noBefore${s}) * K; let o${s}_0 = select(own${s}, 0u, noOwn${s}) * K; let f${s} = select(after${s}, 0u, noAfter${s}) * K;
    ${range(form.step * length - 1)
      .map((i) => `let o${s}_${i + 1} = o${s}_0 + ${i + 1}u * K;`)
      .join(' ')}`;
}

/** The strip's values of channel k. Its own rows lie in one brick, so one test serves them. */
function stripValues(s: number, length: number, form: StripForm, constant: boolean): string {
  const values = range(form.step * length).map((i) => value(s, i + 1, `o${s}_${i}`, 'noOwn', constant));
  return `${before(s, constant)} ${values.join(' ')} ${after(s, form.step * length, constant)}`;
}

const before = (s: number, constant = false) => value(s, 0, `b${s}`, 'noBefore', constant);
const after = (s: number, own: number, constant = false) => value(s, own + 1, `f${s}`, 'noAfter', constant);

function value(s: number, place: number, offset: string, gone: string, constant: boolean): string {
  const read = constant ? `select(a[${offset} + min(k, K - 1u)], 1.0, k == K)` : `a[${offset} + k]`;
  return `let a${s}_${place} = select(${read}, 0.0, ${gone}${s});`;
}

/**
 * How many channels to work on: none where the tile's rows all lack the strip's own brick (`deep`) or those at its ends. A loop's
 * bound rather than a condition, for lavapipe computes both sides of a condition.
 */
function presence(strips: number, subgroups: boolean): string {
  const some = (names: readonly string[]) => {
    const mine = range(strips)
      .flatMap((s) => names.map((name) => `!${name}${s}`))
      .join(' || ');
    return subgroups ? `subgroupAny(${mine})` : `(${mine})`;
  };
  return `let isOwn = ${some(['noOwn'])}; let isEnd = ${some(['noBefore', 'noAfter'])};
    let deep = select(0u, channels, isOwn); let deepAtEnds = select(0u, channels, isEnd && !isOwn);`;
}

function rowAddress(s: number): string {
  return `let row${s} = rowOf(first${s}, tap); let gone${s} = row${s} == ${NO_ROW}; let base${s} = select(row${s}, 0u, gone${s}) * K;`;
}

/**
 * The weight gradient's micro-kernel for real GPUs. Taps and input channels are one axis, kk = tap · K + k, which blocks of results divide without
 * regard to where a tap ends: few channels waste nothing, and d is read once for as many taps as a block spans. With batches, whose d differs
 * from tap to tap, blocks stay within one.
 *
 * Staged tiles alternate between two places, so that the next rows are fetched while these are multiplied: one barrier a staging. The sources of a
 * staging's rows, one for each tap of the block, are found by some threads one staging ahead.
 *
 * Workgroup memory: `gradientTileMemory`.
 */

import { type Kernel, kernel } from '../lib/kernel.ts';
import { isBatched, NO_ROW, TAPS } from '../lib/rows.ts';
import {
  WEIGHT_GRADIENT_SLICES,
  WEIGHT_GRADIENT_UNIFORMS,
  type WeightGradientVariant,
  weightGradientLibrary,
  weightGradientReads,
} from './family.ts';
import { each, gradientReads, range, type Slot, slotsOf, spreadOf, type WorkgroupTile } from './tile-form.ts';

/** Bytes of workgroup memory. @param spans taps that a block may touch */
export function gradientTileMemory({ down, across, depth }: WorkgroupTile, spans: number): number {
  return 8 * depth * (down + across + spans);
}

/** Taps that a block of `down` of the joint axis may touch. */
export function tapsOfBlock({ addressing }: WeightGradientVariant, inner: number, down: number): number {
  return isBatched(addressing) ? 1 : Math.min(TAPS[addressing], Math.ceil((down - 1) / inner) + 1);
}

/**
 * Launch: x counts column tiles, y tiles of the joint axis (with batches those of each batch), z splits. Writes `partials`
 * [splits, taps, K, N].
 * @param spans `tapsOfBlock`
 * @param vectors rows of both factors are whole vec4
 */
export function tileWeightGradientKernel(
  variant: WeightGradientVariant,
  tile: WorkgroupTile,
  spans: number,
  vectors: boolean,
): Kernel {
  const { down, across, depth, threadRows, threadColumns } = tile;
  const { rows: rowStride, columns: columnStride, threads } = spreadOf(tile);
  const taps = TAPS[variant.addressing];
  const [downQuads, acrossQuads] = [down / 4, across / 4];
  const [perRow, perColumn] = [threadRows / 4, threadColumns / 4];
  const [slotsA, slotsB] = [slotsOf(downQuads * depth, threads), slotsOf(acrossQuads * depth, threads)];
  const eachA = (text: (slot: Slot) => string) => slotsA.map(text).join('\n  ');
  const eachB = (text: (slot: Slot) => string) => slotsB.map(text).join('\n  ');
  const fetch = (place: string, rows: string) => `
  ${eachA(({ i }) => `a${i} = joint(${place}, span${i}, k${i}, step${i});`)}
  ${eachB(({ i }) => `b${i} = readD(${rows} + row${i}, end, nOf${i}, firstTap);`)}`;
  const isBatches = isBatched(variant.addressing);
  const code = `${weightGradientLibrary(variant)}
var<workgroup> tileA: array<array<array<array<vec4f, ${rowStride}>, ${perRow}>, ${depth}>, 2>;
var<workgroup> tileB: array<array<array<array<vec4f, ${columnStride}>, ${perColumn}>, ${depth}>, 2>;
var<workgroup> sources: array<array<array<u32, ${depth}>, ${spans}>, 2>;
${gradientReads(vectors)}
${joint(spans, vectors)}
/** Sources of the rows from m0 on, for the taps of this block. */
fn findSources(place: u32, m0: u32, end: u32, firstTap: u32, local: u32) {
  for (var e = local; e < ${depth * spans}u; e += ${threads}u) {
    let m = m0 + e % ${depth}u;
    let tap = firstTap + e / ${depth}u;
    var source = ${NO_ROW};
    if (m < end && tap < ${taps}u) { source = rowOf(m, tap); }
    sources[place][e / ${depth}u][e % ${depth}u] = source;
  }
}
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  ${
    isBatches
      ? `let tiles = (u.inner + ${down - 1}u) / ${down}u;
  let firstTap = group.y / tiles;
  let kk0 = firstTap * u.inner + (group.y % tiles) * ${down}u;
  let limit = (firstTap + 1u) * u.inner;`
      : `let kk0 = group.y * ${down}u;
  let firstTap = kk0 / u.inner;
  let limit = ${taps}u * u.inner;`
  }
  let n0 = group.x * ${across}u;
  let blockRow = local / ${columnStride}u;
  let blockColumn = local % ${columnStride}u;
  let split = u.firstSplit + group.z;
  let start = split * u.rowsPerSplit;
  let end = min(start + u.rowsPerSplit, u.rows);
  ${each(threadRows, (r) => each(perColumn, (v) => `var sum${r}_${v} = vec4f(0.0);`, ' '))}
  ${eachA(({ i, at }) => `let kkOf${i} = kk0 + 4u * (${at} % ${downQuads}u); let span${i} = min(kkOf${i} / u.inner - firstTap, ${spans - 1}u); let k${i} = kkOf${i} % u.inner;`)}
  ${eachA(({ i, at }) => `let step${i} = ${at} / ${downQuads}u; var a${i} = vec4f(0.0);`)}
  ${eachB(({ i, at }) => `let nOf${i} = n0 + 4u * (${at} % ${acrossQuads}u); let row${i} = ${at} / ${acrossQuads}u; var b${i} = vec4f(0.0);`)}
  findSources(0u, start, end, firstTap, local);
  workgroupBarrier();
  ${fetch('0u', 'start')}
  findSources(1u, start + ${depth}u, end, firstTap, local);
  var place = 0u;
  for (var m0 = start; m0 < end; m0 += ${depth}u) {
    ${eachA(({ i, at, ifThere }) => ifThere(`let q = ${at} % ${downQuads}u; tileA[place][step${i}][q / ${rowStride}u][q % ${rowStride}u] = a${i};`))}
    ${eachB(({ i, at, ifThere }) => ifThere(`let q = ${at} % ${acrossQuads}u; tileB[place][row${i}][q / ${columnStride}u][q % ${columnStride}u] = b${i};`))}
    workgroupBarrier();
    let next = m0 + ${depth}u;
    if (next < end) {
      ${fetch('1u - place', 'next')}
      findSources(place, next + ${depth}u, end, firstTap, local);
    }
    for (var step = 0u; step < ${depth}u; step++) {
      ${each(perRow, (q) => `let x${q} = tileA[place][step][${q}][blockRow];`, ' ')}
      ${each(perColumn, (v) => `let y${v} = tileB[place][step][${v}][blockColumn];`, ' ')}
      ${each(threadRows, (r) => each(perColumn, (v) => `sum${r}_${v} = fma(vec4f(x${r >> 2}[${r & 3}]), y${v}, sum${r}_${v});`, ' '), '\n      ')}
    }
    place = 1u - place;
  }
  let out = split * ${taps}u * u.inner;
  ${each(threadRows, (r) => {
    const n = (v: number) => `n0 + 4u * (${v}u * ${columnStride}u + blockColumn)`;
    const stores = range(perColumn).map((v) => {
      const at = '(out + kk) * u.columns + n';
      const four = range(4).map((c) => `if (n + ${c}u < u.columns) { partials[${at} + ${c}u] = sum${r}_${v}[${c}]; }`);
      return `{ let n = ${n(v)}; ${vectors ? `if (n < u.columns) { partials[(${at}) >> 2u] = sum${r}_${v}; }` : four.join(' ')} }`;
    });
    return `{ let kk = kk0 + 4u * (${r >> 2}u * ${rowStride}u + blockRow) + ${r & 3}u;
    if (kk < limit) {
    ${stores.join('\n    ')} } }`;
  })}
}`;
  return kernel({
    name: 'weight-gradient-tile',
    variant: { ...variant, ...tile, spans, vectors },
    reads: { ...weightGradientReads(variant), ...(vectors ? { a: 'vec4f', d: 'vec4f' } : {}) },
    writes: { partials: vectors ? 'vec4f' : 'f32' },
    uniforms: WEIGHT_GRADIENT_UNIFORMS,
    sliced: WEIGHT_GRADIENT_SLICES,
    code,
  });
}

/**
 * WGSL `joint(place, span, k, step)`: 4 of the joint axis for a staged row, from channel k of the block's tap `span` on. What it gives past the
 * block's last tap is stored nowhere.
 */
function joint(spans: number, vectors: boolean): string {
  // No four whole vec4 belong to two taps.
  const text = vectors
    ? 'return readA(sources[place][span][step], k);'
    : `var values = vec4f(0.0);
  for (var i = 0u; i < 4u; i++) {
    let at = min(span + (k + i) / u.inner, ${spans - 1}u);
    values[i] = elementA(sources[place][at][step], (k + i) % u.inner);
  }
  return values;`;
  return `fn joint(place: u32, span: u32, k: u32, step: u32) -> vec4f {
  ${text}
}`;
}

/**
 * The micro-kernel for real GPUs: a workgroup stages tiles of both factors in workgroup memory, a thread owns an 8 × 8 or 8 × 4 block
 * of results in registers. Tiles are kept as vec4 with a padded stride, so that a step of the contraction is 4 vector reads for
 * 64 multiply-adds, and each vec4 is written whole by one thread.
 *
 * Workgroup memory: depth · (down + across + 8) · 4 B, under 13 KiB with the tiles of the table. Barriers: two a tile, two a tap.
 */

import { type Kernel, kernel } from '../lib/kernel.ts';
import { NO_ROW, PHASES, TAPS } from '../lib/rows.ts';
import {
  PRODUCT_UNIFORMS,
  type ProductVariant,
  productLibrary,
  productReads,
  productWrites,
  WEIGHT_GRADIENT_UNIFORMS,
  type WeightGradientVariant,
  weightGradientLibrary,
  weightGradientReads,
} from './family.ts';

export interface WorkgroupTile {
  /** Rows and columns of the workgroup's block of results. */
  readonly down: number;
  readonly across: number;
  /** Of the contraction, in one staging. */
  readonly depth: number;
  /** Columns of a thread's block, 4 or 8; its rows are 8. */
  readonly threadColumns: number;
}

const THREAD_ROWS = 8;
const range = (n: number) => Array.from({ length: n }, (_, i) => i);
const lines = (n: number, line: (i: number) => string) => range(n).map(line).join('\n    ');

interface Parts {
  readonly threads: number;
  /** Strides of the staged tiles, in vec4. */
  readonly strideA: number;
  readonly strideB: number;
  readonly declarations: string;
  readonly clear: string;
  /** Multiplies the staged tiles into the thread's block. */
  readonly multiply: string;
}

function parts({ down, across, depth, threadColumns }: WorkgroupTile): Parts {
  const [strideA, strideB] = [down / 4 + 1, across / 4 + 1];
  const vectors = threadColumns / 4;
  return {
    threads: (down / THREAD_ROWS) * (across / threadColumns),
    strideA,
    strideB,
    declarations: `
var<workgroup> tileA: array<vec4f, ${depth * strideA}>;
var<workgroup> tileB: array<vec4f, ${depth * strideB}>;`,
    clear: lines(THREAD_ROWS, (r) =>
      range(vectors)
        .map((v) => `var sum${r}_${v} = vec4f(0.0);`)
        .join(' '),
    ),
    multiply: `for (var step = 0u; step < ${depth}u; step++) {
      let a0 = tileA[step * ${strideA}u + blockRow * 2u];
      let a1 = tileA[step * ${strideA}u + blockRow * 2u + 1u];
      ${range(vectors)
        .map((v) => `let b${v} = tileB[step * ${strideB}u + blockColumn * ${vectors}u + ${v}u];`)
        .join(' ')}
      ${lines(THREAD_ROWS, (r) =>
        range(vectors)
          .map((v) => `sum${r}_${v} += a${r >> 2}[${r & 3}] * b${v};`)
          .join(' '),
      )}
    }`,
  };
}

/** Calls `each` for the `count` vec4 of a tile in turns of the workgroup's threads. */
function staged(count: number, threads: number, each: string): string {
  return `for (var e = local; e < ${count}u; e += ${threads}u) {
      ${each}
    }`;
}

/** The channel that is 1 where a row is present; the barrier keeps the rows' sources until all have read them. */
function addConstant(threadColumns: number): string {
  const vectors = range(threadColumns / 4);
  const read = (v: number, c: number) => `readOne(tap, n0 + blockColumn * ${threadColumns}u + ${4 * v + c}u)`;
  return `${vectors
    .map(
      (v) =>
        `let one${v} = vec4f(${range(4)
          .map((c) => read(v, c))
          .join(', ')});`,
    )
    .join('\n    ')}
    ${lines(THREAD_ROWS, (r) => {
      const gone = `sources[blockRow * ${THREAD_ROWS}u + ${r}u] == ${NO_ROW}`;
      return vectors.map((v) => `sum${r}_${v} += select(one${v}, vec4f(0.0), ${gone});`).join(' ');
    })}
    workgroupBarrier();`;
}

const readA = `
fn readA(source: u32, k: u32) -> f32 {
  let gone = source == ${NO_ROW} || k >= u.inner;
  return select(a[select(source * u.inner + k, 0u, gone)], 0.0, gone);
}`;

/** WGSL `readA(source, k)` and `readB(tap, k, n)`: elements of a product's factors, zero outside of them. */
export const factorReads = `${readA}
fn readB(tap: u32, k: u32, n: u32) -> f32 {
  let gone = k >= u.inner || n >= u.columns;
  return select(weight[select(weightAt(tap, k, n), 0u, gone)], 0.0, gone);
}`;

/** WGSL `readA(source, k)` and `readD(m, end, n, tap)`: elements of a weight gradient's factors, zero outside of them and from row `end` on. */
export const gradientReads = `${readA}
fn readD(m: u32, end: u32, n: u32, tap: u32) -> f32 {
  let gone = m >= end || n >= u.columns;
  return select(d[select(rowOfD(m, tap) * u.columns + n, 0u, gone)], 0.0, gone);
}`;

/** WGSL `presentTaps(m0, local)`: a bit for each tap that is present for some row of the tile; the same in the whole workgroup. */
export function presentTaps(down: number, threads: number): string {
  return `
var<workgroup> someTaps: atomic<u32>;
var<workgroup> allTaps: u32;
fn presentTaps(m0: u32, local: u32) -> u32 {
  var mine = 0u;
  for (var r = local; r < ${down}u; r += ${threads}u) {
    for (var tap = 0u; tap < 27u; tap++) { mine |= select(1u << tap, 0u, rowOf(min(m0 + r, u.rows - 1u), tap) == ${NO_ROW}); }
  }
  atomicOr(&someTaps, mine); // workgroup memory starts as zero
  workgroupBarrier();
  if (local == 0u) { allTaps = atomicLoad(&someTaps); }
  return workgroupUniformLoad(&allTaps);
}`;
}

/** Launch: x and z fold the row tiles, y counts column tiles, then phases. */
export function tileProductKernel(variant: ProductVariant, tile: WorkgroupTile, unitStride: boolean): Kernel {
  const { down, across, depth, threadColumns } = tile;
  const { threads, strideA, strideB, declarations, clear, multiply } = parts(tile);
  const taps = TAPS[variant.addressing] / PHASES[variant.addressing];
  // Neighbouring threads should read neighbouring addresses: along columns, or along k where the weight is transposed.
  const order = unitStride
    ? `let n4 = e % ${across / 4}u; let step = e / ${across / 4}u;`
    : `let step = e % ${depth}u; let n4 = e / ${depth}u;`;
  const code = `${productLibrary(variant)}
${declarations}
var<workgroup> sources: array<u32, ${down}>;
${factorReads}
${
  variant.constant
    ? `fn readOne(tap: u32, n: u32) -> f32 {
  return select(weight[weightAt(tap, u.inner, min(n, u.columns - 1u))], 0.0, n >= u.columns);
}`
    : ''
}
${variant.skip ? presentTaps(down, threads) : ''}
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
  let m0 = (group.z * groups.x + group.x) * ${down}u;
  let tilesAcross = (u.columns + ${across - 1}u) / ${across}u;
  let phase = group.y / tilesAcross;
  let n0 = (group.y % tilesAcross) * ${across}u;
  let blockRow = local / ${across / threadColumns}u;
  let blockColumn = local % ${across / threadColumns}u;
  ${clear}
  ${variant.skip ? 'let present = presentTaps(m0, local);' : ''}
  for (var tap = phase * ${taps}u; tap < (phase + 1u) * ${taps}u; tap++) {
    ${variant.skip ? 'if (((present >> tap) & 1u) == 0u) { continue; }' : ''}
    for (var r = local; r < ${down}u; r += ${threads}u) { sources[r] = rowOf(min(m0 + r, u.rows - 1u), tap); }
    workgroupBarrier();
    for (var k0 = 0u; k0 < u.inner; k0 += ${depth}u) {
    ${staged(
      (down * depth) / 4,
      threads,
      `let step = e % ${depth}u; let r4 = e / ${depth}u; let k = k0 + step;
      tileA[step * ${strideA}u + r4] = vec4f(readA(sources[4u * r4], k), readA(sources[4u * r4 + 1u], k), readA(sources[4u * r4 + 2u], k), readA(sources[4u * r4 + 3u], k));`,
    )}
    ${staged(
      (across * depth) / 4,
      threads,
      `${order} let k = k0 + step; let n = n0 + 4u * n4;
      tileB[step * ${strideB}u + n4] = vec4f(readB(tap, k, n), readB(tap, k, n + 1u), readB(tap, k, n + 2u), readB(tap, k, n + 3u));`,
    )}
    workgroupBarrier();
    ${multiply}
    workgroupBarrier();
    }
    ${variant.constant ? addConstant(threadColumns) : ''}
  }
  let m = m0 + blockRow * ${THREAD_ROWS}u;
  let n = n0 + blockColumn * ${threadColumns}u;
  ${lines(THREAD_ROWS, (r) => {
    const stores = range(threadColumns).map(
      (c) => `if (n + ${c}u < u.columns) { store(phase, m + ${r}u, n + ${c}u, sum${r}_${c >> 2}[${c & 3}], biasRow); }`,
    );
    return `if (m + ${r}u < u.rows) { let biasRow = biasRowOf(m + ${r}u);
      ${stores.join('\n      ')} }`;
  })}
}`;
  return kernel({
    name: 'product-tile',
    variant: { ...variant, ...tile, unitStride },
    reads: productReads(variant),
    writes: productWrites(variant),
    uniforms: PRODUCT_UNIFORMS,
    code,
  });
}

/** Launch: x counts column tiles, y tiles of input channels × taps, z splits. Writes `partials` [splits, taps, K, N]. */
export function tileWeightGradientKernel(variant: WeightGradientVariant, tile: WorkgroupTile): Kernel {
  const { down, across, depth, threadColumns } = tile;
  const { threads, strideA, strideB, declarations, clear, multiply } = parts(tile);
  const taps = TAPS[variant.addressing];
  const code = `${weightGradientLibrary(variant)}
${declarations}
var<workgroup> sources: array<u32, ${depth}>;
${gradientReads}
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  let n0 = group.x * ${across}u;
  let tap = group.y % ${taps}u;
  let k0 = (group.y / ${taps}u) * ${down}u;
  let blockRow = local / ${across / threadColumns}u;
  let blockColumn = local % ${across / threadColumns}u;
  let end = min((group.z + 1u) * u.rowsPerSplit, u.rows);
  ${clear}
  for (var m0 = group.z * u.rowsPerSplit; m0 < end; m0 += ${depth}u) {
    if (local < ${depth}u) { sources[local] = rowOf(min(m0 + local, u.rows - 1u), tap); }
    workgroupBarrier();
    ${staged(
      (down * depth) / 4,
      threads,
      `let k4 = e % ${down / 4}u; let step = e / ${down / 4}u; let k = k0 + 4u * k4; let source = sources[step];
      tileA[step * ${strideA}u + k4] = vec4f(readA(source, k), readA(source, k + 1u), readA(source, k + 2u), readA(source, k + 3u));`,
    )}
    ${staged(
      (across * depth) / 4,
      threads,
      `let n4 = e % ${across / 4}u; let step = e / ${across / 4}u; let n = n0 + 4u * n4; let m = m0 + step;
      tileB[step * ${strideB}u + n4] = vec4f(readD(m, end, n, tap), readD(m, end, n + 1u, tap), readD(m, end, n + 2u, tap), readD(m, end, n + 3u, tap));`,
    )}
    workgroupBarrier();
    ${multiply}
    workgroupBarrier();
  }
  let k = k0 + blockRow * ${THREAD_ROWS}u;
  let n = n0 + blockColumn * ${threadColumns}u;
  let out = (group.z * ${taps}u + tap) * u.inner;
  ${lines(THREAD_ROWS, (r) =>
    range(threadColumns)
      .map(
        (c) =>
          `if (k + ${r}u < u.inner && n + ${c}u < u.columns) { partials[(out + k + ${r}u) * u.columns + n + ${c}u] = sum${r}_${c >> 2}[${c & 3}]; }`,
      )
      .join('\n    '),
  )}
}`;
  return kernel({
    name: 'weight-gradient-tile',
    variant: { ...variant, ...tile },
    reads: weightGradientReads(variant),
    writes: { partials: 'f32' },
    uniforms: WEIGHT_GRADIENT_UNIFORMS,
    code,
  });
}

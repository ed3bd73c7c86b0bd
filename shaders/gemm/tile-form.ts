/** What the tile kernels of both forms share: the block of results, and how elements of the factors are read. */

import { NO_ROW } from '../lib/rows.ts';

export interface WorkgroupTile {
  /** Rows and columns of the workgroup's block of results. */
  readonly down: number;
  readonly across: number;
  /** Of the contraction, in one staging: a multiple of 4. */
  readonly depth: number;
  /** Of a thread's block of results: multiples of 4. */
  readonly threadRows: number;
  readonly threadColumns: number;
}

export const range = (n: number) => Array.from({ length: n }, (_, i) => i);
export const each = (n: number, text: (i: number) => string, between = '\n  ') => range(n).map(text).join(between);

/** A thread's block is spread over the workgroup's, so that neighbouring threads read neighbouring vec4: these are its strides. */
export function spreadOf({ down, across, threadRows, threadColumns }: WorkgroupTile) {
  const [rows, columns] = [down / threadRows, across / threadColumns];
  return { rows, columns, threads: rows * columns };
}

/** The slots of a staging that fall to a thread: local + i · threads, of `count`. A slot past the last is read, and not stored. */
export interface Slot {
  readonly i: number;
  /** WGSL of its number. */
  readonly at: string;
  /** WGSL that runs a statement unless the slot is past the last. */
  ifThere(statement: string): string;
}

export function slotsOf(count: number, threads: number): readonly Slot[] {
  return range(Math.ceil(count / threads)).map((i) => {
    const at = i === 0 ? 'local' : `(local + ${i * threads}u)`;
    const isWhole = (i + 1) * threads <= count;
    return {
      i,
      at,
      ifThere: (statement) => (isWhole ? `{ ${statement} }` : `if (${at} < ${count}u) { ${statement} }`),
    };
  });
}

const elementA = `
fn elementA(source: u32, k: u32) -> f32 {
  let gone = source == ${NO_ROW} || k >= u.inner;
  return select(a[select(source * u.inner + k, 0u, gone)], 0.0, gone);
}`;

const vectorA = `
fn readA(source: u32, k: u32) -> vec4f {
  let gone = source == ${NO_ROW} || k >= u.inner;
  return select(a[select((source * u.inner + k) >> 2u, 0u, gone)], vec4f(0.0), gone);
}`;

/** WGSL `elementA(source, k)` and `elementB(tap, k, n, channels)`: elements of a product's factors, zero outside of them. */
const factorElements = `${elementA}
fn elementB(tap: u32, k: u32, n: u32, channels: u32) -> f32 {
  let gone = k >= channels || n >= u.columns;
  return select(weight[select(weightAt(tap, k, n), 0u, gone)], 0.0, gone);
}`;

/** WGSL `elementA(source, k)` and `elementD(m, end, n, tap)`: elements of a weight gradient's factors, zero outside of them and from row `end` on. */
const gradientElements = `${elementA}
fn elementD(m: u32, end: u32, n: u32, tap: u32) -> f32 {
  let gone = m >= end || n >= u.columns;
  return select(d[select(rowOfD(m, tap) * u.columns + n, 0u, gone)], 0.0, gone);
}`;

const four = (element: (i: number) => string) => `vec4f(${range(4).map(element).join(', ')})`;
const plus = (name: string, i: number) => (i === 0 ? name : `${name} + ${i}u`);

/**
 * WGSL `readA(source, k)`, 4 of the contraction, and `readB(tap, k, n, channels)`, 4 columns where weights lie along those, otherwise 4
 * of the contraction. With `vectors` both factors are bound as vec4f: k and n are multiples of 4 there.
 */
export function factorReads(unitStride: boolean, vectors: boolean): string {
  const arguments4 = (i: number) => (unitStride ? `k, ${plus('n', i)}` : `${plus('k', i)}, n`);
  if (!vectors) {
    return `${factorElements}
fn readA(source: u32, k: u32) -> vec4f { return ${four((i) => `elementA(source, ${plus('k', i)})`)}; }
fn readB(tap: u32, k: u32, n: u32, channels: u32) -> vec4f { return ${four((i) => `elementB(tap, ${arguments4(i)}, channels)`)}; }`;
  }
  return `${vectorA}
fn readB(tap: u32, k: u32, n: u32, channels: u32) -> vec4f {
  let gone = k >= channels || n >= u.columns;
  return select(weight[select(weightAt(tap, k, n) >> 2u, 0u, gone)], vec4f(0.0), gone);
}`;
}

/**
 * WGSL `readA(source, k)`, 4 input channels, and `readD(m, end, n, tap)`, 4 columns, of a weight gradient's factors. With `vectors` both are
 * bound as vec4f: k and n are multiples of 4 there.
 */
export function gradientReads(vectors: boolean): string {
  if (!vectors) {
    return `${gradientElements}
fn readA(source: u32, k: u32) -> vec4f { return ${four((i) => `elementA(source, ${plus('k', i)})`)}; }
fn readD(m: u32, end: u32, n: u32, tap: u32) -> vec4f { return ${four((i) => `elementD(m, end, ${plus('n', i)}, tap)`)}; }`;
  }
  return `${vectorA}
fn readD(m: u32, end: u32, n: u32, tap: u32) -> vec4f {
  let gone = m >= end || n >= u.columns;
  return select(d[select((rowOfD(m, tap) * u.columns + n) >> 2u, 0u, gone)], vec4f(0.0), gone);
}`;
}

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

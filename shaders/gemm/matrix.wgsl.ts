/**
 * The micro-kernel for GPUs with matrix units, through subgroup matrices (experimental in WGSL): a workgroup stages tiles of both
 * factors in workgroup memory, in the type that the units read, and each subgroup multiplies matrices of them into a block of 32 rows.
 * Results go through workgroup memory once more, a matrix a subgroup at a time, so that the family's epilogue serves this kernel too.
 * Edges are zeros in the staged tiles. Products for addressing `rows` and `neighbours`, without the constant channel; weight gradients.
 *
 * Where the units read f16 both factors are rounded to it (11 bits, up to 65504, nothing below 6 · 10⁻⁸); sums stay f32.
 *
 * A workgroup has as many threads as its subgroups would have lanes at the adapter's most; where subgroups come smaller, those beyond the
 * first ones only help to stage. Workgroup memory: `matrixMemory`. Barriers: two a staging, two a tap, two a matrix of results.
 */

import { type Kernel, kernel } from '../lib/kernel.ts';
import { TAPS } from '../lib/rows.ts';
import {
  PRODUCT_SLICES,
  PRODUCT_UNIFORMS,
  type ProductVariant,
  productLibrary,
  productReads,
  productWrites,
  WEIGHT_GRADIENT_SLICES,
  WEIGHT_GRADIENT_UNIFORMS,
  type WeightGradientVariant,
  weightGradientLibrary,
  weightGradientReads,
} from './family.ts';
import { factorReads, gradientReads, presentTaps, range } from './tile-form.ts';

/** A shape that an adapter's units multiply: [M, K] · [K, N], summed in f32. Read from the adapter, never assumed. */
export interface SubgroupMatrix {
  /** Element type of both factors. */
  readonly input: 'f32' | 'f16';
  readonly M: number;
  readonly N: number;
  readonly K: number;
  /** Lanes of the adapter's largest subgroup. */
  readonly lanes: number;
}

export interface MatrixTile {
  readonly matrix: SubgroupMatrix;
  /** Subgroups of a workgroup, down and across its block of results. */
  readonly subgroupsDown: number;
  readonly subgroupsAcross: number;
  /** Columns of a subgroup's block, a multiple of N; its rows are 32. */
  readonly columns: number;
  /** Of the contraction, in one staging: a multiple of K. */
  readonly depth: number;
}

export const MATRIX_ROWS = 32;

/** Elements between rows of a staged tile: 16 bytes, which strides have to be whole numbers of. */
function padOf({ input }: SubgroupMatrix): number {
  return input === 'f16' ? 8 : 4;
}

function sizes({ matrix, subgroupsDown, subgroupsAcross, columns, depth }: MatrixTile) {
  const [down, across] = [subgroupsDown * MATRIX_ROWS, subgroupsAcross * columns];
  const pad = padOf(matrix);
  const subgroups = subgroupsDown * subgroupsAcross;
  return { down, across, subgroups, strideA: depth + pad, strideB: across + pad, place: matrix.M * matrix.N };
}

/** What `presentTaps` takes. */
const TAPS_MEMORY = 32;

/** Bytes of workgroup memory, at most. */
export function matrixMemory(tile: MatrixTile): number {
  const { down, subgroups, strideA, strideB, place } = sizes(tile);
  const bytes = tile.matrix.input === 'f16' ? 2 : 4;
  return (down * strideA + tile.depth * strideB) * bytes + (subgroups * place + down) * 4 + TAPS_MEMORY;
}

/** What both forms say alike; i and j count the matrices of a subgroup's block, down and across. */
function parts(tile: MatrixTile) {
  const { matrix, subgroupsAcross, columns, depth } = tile;
  const { input, M, N, K, lanes } = matrix;
  const { subgroups, strideB, place } = sizes(tile);
  const [matricesDown, matricesAcross] = [range(MATRIX_ROWS / M), range(columns / N)];
  const each = (line: (i: number, j: number) => string) =>
    matricesDown.flatMap((i) => matricesAcross.map((j) => line(i, j))).join('\n  ');
  const threads = subgroups * lanes;
  return {
    threads,
    /** WGSL `storeMatrices(m0, n0, …)`: what `store` does with one matrix of each subgroup; m0 and n0 are those of the first. */
    storeMatrices: (parameters: string, store: string) => `
var<workgroup> results: array<f32, ${subgroups * place}>;
fn storeMatrices(m0: u32, n0: u32, local: u32${parameters}) {
  for (var e = local; e < ${subgroups * place}u; e += ${threads}u) {
    let subgroup = e / ${place}u;
    let m = m0 + (subgroup / ${subgroupsAcross}u) * ${MATRIX_ROWS}u + (e % ${place}u) / ${N}u;
    let n = n0 + (subgroup % ${subgroupsAcross}u) * ${columns}u + e % ${N}u;
    ${store}
  }
}`,
    clear: each((i, j) => `var sum${i}_${j} = subgroup_matrix_result<f32, ${N}, ${M}>();`),
    /** Multiplies the staged tiles. `left` says where matrix i of the left factor begins, its order and its stride. */
    multiply: (left: (i: number) => string, order: string, stride: number) => `if (works) {
        for (var step = 0u; step < ${depth}u; step += ${K}u) {
  ${matricesDown
    .map(
      (i) =>
        `let left${i} = subgroupMatrixLoad<subgroup_matrix_left<${input}, ${K}, ${M}>, ${order}>(&tileA, ${left(i)}, ${stride}u);`,
    )
    .join('\n  ')}
  ${matricesAcross
    .map(
      (j) =>
        `let right${j} = subgroupMatrixLoad<subgroup_matrix_right<${input}, ${N}, ${K}>, row_major>(&tileB, offsetB + step * ${strideB}u + ${j * N}u, ${strideB}u);`,
    )
    .join('\n  ')}
  ${each((i, j) => `sum${i}_${j} = subgroupMatrixMultiplyAccumulate(left${i}, right${j}, sum${i}_${j});`)}
        }
      }`,
    /** Stores every matrix, with further arguments. */
    storeAll: (m0: string, further: string) =>
      each(
        (i, j) => `if (works) { subgroupMatrixStore<row_major>(&results, subgroup * ${place}u, sum${i}_${j}, ${N}u); }
  workgroupBarrier();
  storeMatrices(${m0} + ${i * M}u, n0 + ${j * N}u, local${further});
  workgroupBarrier();`,
      ),
    directives: [
      ...(input === 'f16' ? ['enable f16;'] : []),
      'enable chromium_experimental_subgroup_matrix;',
      // Which matrix a subgroup works on depends on the subgroup, not on its lanes; older compilers see no difference.
      'diagnostic(off, chromium.subgroup_matrix_uniformity);',
    ],
  };
}

/** WGSL for each of the `count` vec4 of a staging, in turns of the workgroup's threads. */
function staged(count: number, threads: number, text: (slot: string) => string): string {
  return `for (var e = local; e < ${count}u; e += ${threads}u) { ${text('e')} }`;
}

/** WGSL that stores the vec4 `v`, whose elements lie `stride` apart: tiles hold single elements, as the units read them. */
function fourStores(tile: string, at: string, stride: number, input: string): string {
  return range(4)
    .map((i) => `${tile}[${at} + ${i * stride}u] = ${input}(v[${i}]);`)
    .join(' ');
}

function variantOf({ matrix, ...block }: MatrixTile) {
  return { ...block, ...matrix };
}

/** Launch: x counts row tiles, y column tiles. */
export function matrixProductKernel(
  variant: ProductVariant,
  tile: MatrixTile,
  unitStride: boolean,
  vectors: boolean,
): Kernel {
  const { matrix, subgroupsAcross, columns, depth } = tile;
  const { input, M } = matrix;
  const { down, across, subgroups, strideA, strideB } = sizes(tile);
  const { threads, storeMatrices, clear, multiply, storeAll, directives } = parts(tile);
  const quads = depth / 4;
  const stageA = staged(down * quads, threads, (slot) => {
    return `let r = ${slot} / ${quads}u; let k = 4u * (${slot} % ${quads}u); let v = readA(sources[r], k0 + k);
        ${fourStores('tileA', `r * ${strideA}u + k`, 1, input)}`;
  });
  // Neighbouring threads read neighbouring addresses: along columns, or along k where the weight is transposed.
  const stageB = unitStride
    ? staged((across / 4) * depth, threads, (slot) => {
        return `let k = ${slot} / ${across / 4}u; let n = 4u * (${slot} % ${across / 4}u); let v = readB(tap, k0 + k, n0 + n, u.inner);
        ${fourStores('tileB', `k * ${strideB}u + n`, 1, input)}`;
      })
    : staged(across * quads, threads, (slot) => {
        return `let n = ${slot} / ${quads}u; let k = 4u * (${slot} % ${quads}u); let v = readB(tap, k0 + k, n0 + n, u.inner);
        ${fourStores('tileB', `k * ${strideB}u + n`, strideB, input)}`;
      });
  const code = `${productLibrary(variant)}
${factorReads(unitStride, vectors)}
${variant.skip ? presentTaps(down, threads) : ''}
var<workgroup> tileA: array<${input}, ${down * strideA}>;
var<workgroup> tileB: array<${input}, ${depth * strideB}>;
var<workgroup> sources: array<u32, ${down}>;
${storeMatrices('', 'if (m < u.rows && n < u.columns) { store(0u, m, n, results[e], biasRowOf(m)); }')}
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32, @builtin(subgroup_id) subgroup: u32) {
  let m0 = (u.firstTile + group.x) * ${down}u;
  let n0 = group.y * ${across}u;
  let offsetA = (subgroup / ${subgroupsAcross}u) * ${MATRIX_ROWS * strideA}u;
  let offsetB = (subgroup % ${subgroupsAcross}u) * ${columns}u;
  let works = subgroup < ${subgroups}u;
  ${clear}
  ${variant.skip ? 'let present = presentTaps(m0, local);' : ''}
  for (var tap = 0u; tap < ${TAPS[variant.addressing]}u; tap++) {
    ${variant.skip ? 'if (((present >> tap) & 1u) == 0u) { continue; }' : ''}
    for (var r = local; r < ${down}u; r += ${threads}u) { sources[r] = rowOf(min(m0 + r, u.rows - 1u), tap); }
    workgroupBarrier();
    for (var k0 = 0u; k0 < u.inner; k0 += ${depth}u) {
      ${stageA}
      ${stageB}
      workgroupBarrier();
      ${multiply((i) => `offsetA + step + ${i * M * strideA}u`, 'row_major', strideA)}
      workgroupBarrier();
    }
  }
  ${storeAll('m0', '')}
}`;
  return kernel({
    name: 'product-matrix',
    variant: { ...variant, ...variantOf(tile), unitStride, vectors },
    reads: { ...productReads(variant), ...(vectors ? { a: 'vec4f', weight: 'vec4f' } : {}) },
    writes: productWrites(variant),
    uniforms: PRODUCT_UNIFORMS,
    sliced: PRODUCT_SLICES,
    subgroups: true,
    directives,
    code,
  });
}

/**
 * Launch: x counts column tiles, y tiles of input channels × taps, z splits. Writes `partials` [splits, taps, K, N]. The left factor is
 * staged as it lies, rows of `a`, and read across.
 */
export function matrixWeightGradientKernel(variant: WeightGradientVariant, tile: MatrixTile, vectors: boolean): Kernel {
  const { matrix, subgroupsAcross, columns, depth } = tile;
  const { input, M } = matrix;
  const { down, across, subgroups, strideB } = sizes(tile);
  const { threads, storeMatrices, clear, multiply, storeAll, directives } = parts(tile);
  const taps = TAPS[variant.addressing];
  const strideA = down + padOf(matrix);
  const stageA = staged((down / 4) * depth, threads, (slot) => {
    return `let step = ${slot} / ${down / 4}u; let k = 4u * (${slot} % ${down / 4}u); let v = readA(sources[step], k0 + k);
      ${fourStores('tileA', `step * ${strideA}u + k`, 1, input)}`;
  });
  const stageB = staged((across / 4) * depth, threads, (slot) => {
    return `let step = ${slot} / ${across / 4}u; let n = 4u * (${slot} % ${across / 4}u); let v = readD(m0 + step, end, n0 + n, tap);
      ${fourStores('tileB', `step * ${strideB}u + n`, 1, input)}`;
  });
  const code = `${weightGradientLibrary(variant)}
${gradientReads(vectors)}
var<workgroup> tileA: array<${input}, ${depth * strideA}>;
var<workgroup> tileB: array<${input}, ${depth * strideB}>;
var<workgroup> sources: array<u32, ${depth}>;
${storeMatrices(', out: u32', 'if (m < u.inner && n < u.columns) { partials[(out + m) * u.columns + n] = results[e]; }')}
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32, @builtin(subgroup_id) subgroup: u32) {
  let n0 = group.x * ${across}u;
  let tap = group.y % ${taps}u;
  let k0 = (group.y / ${taps}u) * ${down}u;
  let offsetA = (subgroup / ${subgroupsAcross}u) * ${MATRIX_ROWS}u;
  let offsetB = (subgroup % ${subgroupsAcross}u) * ${columns}u;
  let works = subgroup < ${subgroups}u;
  let split = u.firstSplit + group.z;
  let end = min((split + 1u) * u.rowsPerSplit, u.rows);
  ${clear}
  for (var m0 = split * u.rowsPerSplit; m0 < end; m0 += ${depth}u) {
    for (var r = local; r < ${depth}u; r += ${threads}u) { sources[r] = rowOf(min(m0 + r, u.rows - 1u), tap); }
    workgroupBarrier();
    ${stageA}
    ${stageB}
    workgroupBarrier();
    ${multiply((i) => `offsetA + step * ${strideA}u + ${i * M}u`, 'col_major', strideA)}
    workgroupBarrier();
  }
  ${storeAll('k0', `, (split * ${taps}u + tap) * u.inner`)}
}`;
  return kernel({
    name: 'weight-gradient-matrix',
    variant: { ...variant, ...variantOf(tile), vectors },
    reads: { ...weightGradientReads(variant), ...(vectors ? { a: 'vec4f', d: 'vec4f' } : {}) },
    writes: { partials: 'f32' },
    uniforms: WEIGHT_GRADIENT_UNIFORMS,
    sliced: WEIGHT_GRADIENT_SLICES,
    subgroups: true,
    directives,
    code,
  });
}

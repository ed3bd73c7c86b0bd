/**
 * The product's micro-kernel for real GPUs: a workgroup stages tiles of both factors in workgroup memory, a thread owns a block of up to
 * 8 × 12 results in registers. Both factors are read, staged and multiplied as vec4: 4 of the contraction for rows, and for columns 4 of
 * whichever lies together in memory. With 8 × 8 results a thread that makes 16 vector reads for 256 multiply-adds, and nothing is transposed.
 *
 * Staged tiles are arrays of arrays: a compiler that keeps each index inside its array does so once a thread, not once a read. Tiles are
 * shallow and none is fetched ahead: registers for either would leave room for fewer workgroups, and those hide more (measured on an H100:
 * 33 against 17 to 22 TFLOP/s).
 *
 * Workgroup memory: `tileMemory`. Barriers: two a staging, two a tap at least.
 */

import { type Kernel, kernel } from '../lib/kernel.ts';
import { NO_ROW, PHASES, TAPS } from '../lib/rows.ts';
import {
  canStoreWide,
  PRODUCT_SLICES,
  PRODUCT_UNIFORMS,
  type ProductVariant,
  productLibrary,
  productReads,
  productRows,
  productWrites,
  withoutEpilogue,
} from './family.ts';
import { each, factorReads, presentTaps, type Slot, slotsOf, spreadOf, type WorkgroupTile } from './tile-form.ts';

/** Bytes of workgroup memory. */
export function tileMemory({ down, across, depth }: WorkgroupTile): number {
  return 4 * (depth * (down + across) + down) + 32;
}

/** WGSL: multiplies the staged tiles into sum0_0 …, of the first `quads` · 4 of the contraction. */
function multiply({ threadRows, threadColumns }: WorkgroupTile, unitStride: boolean): string {
  const vectors = threadColumns / 4;
  const rows = each(threadRows, (r) => `let a${r} = tileA[quad][${r}][blockRow];`, ' ');
  const byColumns = (
    c: number,
  ) => `{ ${each(vectors, (v) => `let b${v} = tileB[4u * quad + ${c}u][${v}][blockColumn];`, ' ')}
        ${each(threadRows, (r) => each(vectors, (v) => `sum${r}_${v} = fma(vec4f(a${r}[${c}]), b${v}, sum${r}_${v});`, ' '), ' ')} }`;
  const sum = (r: number, c: number) => `sum${r}_${c >> 2}[${c & 3}]`;
  const byInner = (c: number) => `{ let b = tileB[quad][${c}][blockColumn];
        ${each(threadRows, (r) => `${sum(r, c)} = fma(a${r}.w, b.w, fma(a${r}.z, b.z, fma(a${r}.y, b.y, fma(a${r}.x, b.x, ${sum(r, c)}))));`, ' ')} }`;
  return `for (var quad = 0u; quad < quads; quad++) {
      ${rows}
      ${unitStride ? each(4, byColumns, '\n      ') : each(threadColumns, byInner, '\n      ')}
      }`;
}

/**
 * Launch: x counts row tiles, y column tiles, then splits of the taps, then phases.
 * @param unitStride weights lie along columns, otherwise along the contraction
 * @param vectors rows of both factors are whole vec4 in memory
 * @param isSplit writes `partials` [splits, phases, rows, columns] of so many splits as the launch has, for `productFinishKernel`
 */
export function tileProductKernel(
  variant: ProductVariant,
  tile: WorkgroupTile,
  unitStride: boolean,
  vectors: boolean,
  isSplit: boolean,
): Kernel {
  const { down, across, depth, threadRows, threadColumns } = tile;
  const { rows: rowStride, columns: columnStride, threads } = spreadOf(tile);
  const phases = PHASES[variant.addressing];
  const taps = TAPS[variant.addressing] / phases;
  const quads = depth / 4;
  const perThread = threadColumns / 4;
  // Neighbouring threads take neighbouring rows, and quads of the contraction in turns.
  const slotsA = slotsOf(down * quads, threads);
  const firstRow = ({ i }: Slot) => (i * threads) % down;
  const sourceOf = (slot: Slot) => `source${slotsA.findIndex((other) => firstRow(other) === firstRow(slot))}`;
  const sources = slotsA.filter((slot) => sourceOf(slot) === `source${slot.i}`);
  // Neighbouring threads read neighbouring addresses of the weight, whichever way it lies.
  const slotsB = slotsOf(unitStride ? (across / 4) * depth : across * quads, threads);
  const placeB = ({ i, at }: Slot) =>
    unitStride
      ? `let n4_${i} = ${at} % ${across / 4}u; let k_${i} = ${at} / ${across / 4}u;`
      : `let n_${i} = ${at} / ${quads}u; let quad_${i} = ${at} % ${quads}u;`;
  const readB = ({ i }: Slot) =>
    unitStride
      ? `readB(tap, k0 + k_${i}, n0 + 4u * n4_${i}, u.inner)`
      : `readB(tap, k0 + 4u * quad_${i}, n0 + n_${i}, u.inner)`;
  const stagedB = ({ i }: Slot) =>
    unitStride
      ? `tileB[k_${i}][n4_${i} / ${columnStride}u][n4_${i} % ${columnStride}u]`
      : `tileB[quad_${i}][n_${i} / ${columnStride}u][n_${i} % ${columnStride}u]`;
  const column = (c: number) =>
    unitStride
      ? `n0 + 4u * (${c >> 2}u * ${columnStride}u + blockColumn) + ${c & 3}u`
      : `n0 + ${c}u * ${columnStride}u + blockColumn`;
  // Where a thread's columns lie four together, so do its stores: one at a time each would write a fourth of a cache line's sector.
  const wide = unitStride && vectors && canStoreWide(variant);
  const store = (sum: string) => {
    if (!isSplit) return `store(phase, m, n, ${sum}, biasRow);`;
    return wide ? `partials[(out + n) >> 2u] = ${sum};` : `partials[out + n] = ${sum};`;
  };
  const guarded = (n: string, sum: string) => `{ let n = ${n}; if (n < u.columns) { ${store(sum)} } }`;
  const stores = (r: number) =>
    wide
      ? each(perThread, (v) => guarded(column(4 * v), `sum${r}_${v}`), '\n    ')
      : each(threadColumns, (c) => guarded(column(c), `sum${r}_${c >> 2}[${c & 3}]`), '\n    ');
  const code = `${isSplit ? productRows(variant) : productLibrary(variant, wide)}
var<workgroup> tileA: array<array<array<vec4f, ${rowStride}>, ${threadRows}>, ${quads}>;
var<workgroup> tileB: array<array<array<vec4f, ${columnStride}>, ${unitStride ? perThread : threadColumns}>, ${unitStride ? depth : quads}>;
${variant.constant ? `var<workgroup> presence: array<array<f32, ${rowStride}>, ${threadRows}>;` : ''}
${factorReads(unitStride, vectors)}
${variant.skip ? presentTaps(down, threads) : ''}
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
  let m0 = (u.firstTile + group.x) * ${down}u;
  let tilesAcross = (u.columns + ${across - 1}u) / ${across}u;
  ${
    isSplit
      ? `let splits = groups.y / (tilesAcross * ${phases}u);
  let phase = group.y / (tilesAcross * splits);
  let split = (group.y / tilesAcross) % splits;
  let firstTap = phase * ${taps}u + split * u.tapsPerSplit;
  let endTap = min(firstTap + u.tapsPerSplit, (phase + 1u) * ${taps}u);`
      : `let phase = group.y / tilesAcross;
  let firstTap = phase * ${taps}u;
  let endTap = firstTap + ${taps}u;`
  }
  let n0 = (group.y % tilesAcross) * ${across}u;
  let blockRow = local / ${columnStride}u;
  let blockColumn = local % ${columnStride}u;
  ${each(threadRows, (r) => each(perThread, (v) => `var sum${r}_${v} = vec4f(0.0);`, ' '))}
  ${variant.skip ? 'let present = presentTaps(m0, local);' : ''}
  for (var tap = firstTap; tap < endTap; tap++) {
    ${variant.skip ? 'if (((present >> tap) & 1u) == 0u) { continue; }' : ''}
    ${sources.map((slot) => `let ${sourceOf(slot)} = rowOf(min(m0 + (local + ${firstRow(slot)}u) % ${down}u, u.rows - 1u), tap);`).join('\n    ')}
    ${variant.constant ? stagePresence(down, threads, rowStride, sourceOf) : ''}
    for (var k0 = 0u; k0 < u.inner; k0 += ${depth}u) {
      // All reads are under way before the first is waited for.
      ${slotsA.map((slot) => `let a_${slot.i} = readA(${sourceOf(slot)}, k0 + 4u * (${slot.at} / ${down}u));`).join('\n      ')}
      ${slotsB.map((slot) => `${placeB(slot)} let b_${slot.i} = ${readB(slot)};`).join('\n      ')}
      ${slotsA.map(({ i, at, ifThere }) => ifThere(`let row = ${at} % ${down}u; tileA[${at} / ${down}u][row / ${rowStride}u][row % ${rowStride}u] = a_${i};`)).join('\n      ')}
      ${slotsB.map((slot) => slot.ifThere(`${stagedB(slot)} = b_${slot.i};`)).join('\n      ')}
      workgroupBarrier();
      ${variant.constant ? addConstant(tile) : ''}
      let quads = min(${quads}u, (u.inner - k0 + 3u) / 4u);
      ${multiply(tile, unitStride)}
      workgroupBarrier();
    }
  }
  ${each(threadRows, (r) => {
    return `{ let m = m0 + ${r * rowStride}u + blockRow;
    if (m < u.rows) { ${isSplit ? `let out = ((split * ${phases}u + phase) * u.rows + m) * u.columns;` : 'let biasRow = biasRowOf(m);'}
    ${stores(r)} } }`;
  })}
}`;
  return kernel({
    name: 'product-tile',
    variant: { ...(isSplit ? withoutEpilogue(variant) : variant), ...tile, unitStride, vectors, isSplit },
    reads: {
      ...productReads(isSplit ? withoutEpilogue(variant) : variant, wide),
      ...(vectors ? { a: 'vec4f', weight: 'vec4f' } : {}),
    },
    writes: isSplit ? { partials: wide ? 'vec4f' : 'f32' } : productWrites(variant, wide),
    uniforms: { ...PRODUCT_UNIFORMS, ...(isSplit && { tapsPerSplit: 'u32' }) },
    sliced: PRODUCT_SLICES,
    code,
  });
}

/** The channel that is 1 where a row is present: whether it is, for each row of the tile. Read between a staging's barriers. */
function stagePresence(down: number, threads: number, stride: number, sourceOf: (slot: Slot) => string): string {
  return slotsOf(down, threads)
    .map((slot) => {
      const place = `presence[${slot.at} / ${stride}u][${slot.at} % ${stride}u]`;
      return slot.ifThere(`${place} = select(1.0, 0.0, ${sourceOf(slot)} == ${NO_ROW});`);
    })
    .join('\n    ');
}

/** Once a tap. Weights lie along columns there. */
function addConstant(tile: WorkgroupTile): string {
  const vectors = tile.threadColumns / 4;
  const one = (v: number) =>
    `let one${v} = readB(tap, u.inner, n0 + 4u * (${v}u * ${spreadOf(tile).columns}u + blockColumn), u.inner + 1u);`;
  const add = (r: number) =>
    `{ let here = presence[${r}][blockRow]; ${each(vectors, (v) => `sum${r}_${v} += here * one${v};`, ' ')} }`;
  return `if (k0 == 0u) {
        ${each(vectors, one, ' ')}
        ${each(tile.threadRows, add, '\n        ')}
      }`;
}

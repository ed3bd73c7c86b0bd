/**
 * The weight gradient's micro-kernel for software adapters with subgroups. Lanes are input channels (`vectors` of them), a tile is
 * those × `columns` output channels × the dz taps of one (dx, dy): three, or four on the finer grid. The contraction runs over strips
 * of `length` rows along z, whose values of a serve all those taps (`strip-form.ts`); d is one lane-parallel load of (row, column) pairs, handed out by broadcasts.
 * Row addresses are made lane-parallel for a subgroup's worth of strips at once, then shuffled. Each subgroup sums one of `splits`
 * ranges of strips into its partial buffer; `weightGradientFinish` adds them in order. No workgroup memory.
 *
 * With `bias`, the subgroups of the first taps and input channels also keep the sums of their loads of d: `biasPartials`
 * [splits · length, N], a row for each place in the strip.
 */

import { type Kernel, kernel } from '../lib/kernel.ts';
import { looksAround, NO_ROW, TAPS } from '../lib/rows.ts';
import {
  WEIGHT_GRADIENT_UNIFORMS,
  type WeightGradientVariant,
  weightGradientLibrary,
  weightGradientReads,
} from './family.ts';
import { SUBGROUPS_A_WORKGROUP } from './strip.wgsl.ts';
import { stripForm, stripRows } from './strip-form.ts';

export interface StripGradientTile {
  readonly lanes: number;
  readonly vectors: number;
  readonly length: number;
  readonly columns: number;
}

const range = (n: number) => Array.from({ length: n }, (_, i) => i);
const lines = (n: number, line: (i: number) => string) => range(n).map(line).join('\n      ');

/** Taps that one tile works on. */
export function tapsOfTile(variant: WeightGradientVariant): number {
  return looksAround(variant.addressing) ? stripForm(variant.addressing).weights : 1;
}

/** Launch: a subgroup for each (split, tap group, channel tile) along x, column tiles along y. `rowsPerSplit` is a multiple of length · lanes. */
export function stripWeightGradientKernel(variant: WeightGradientVariant, tile: StripGradientTile): Kernel {
  const { lanes, vectors, length, columns } = tile;
  const taps = TAPS[variant.addressing];
  const group = tapsOfTile(variant);
  const isStrip = looksAround(variant.addressing);
  const form = stripForm(variant.addressing);
  const own = form.step * length;
  const loads = Math.ceil((length * columns) / lanes);
  const from = (i: number, n: number) => {
    const entry = i * columns + n;
    return `subgroupBroadcast(d${Math.floor(entry / lanes)}, ${entry % lanes}u)`;
  };
  const each = (line: (d: number, v: number, n: number) => string) =>
    range(group)
      .flatMap((d) =>
        range(vectors).map((v) =>
          range(columns)
            .map((n) => line(d, v, n))
            .join(' '),
        ),
      )
      .join('\n  ');
  const addresses = isStrip
    ? `let mine = min(chunk + lane * ${length}u, M - ${length}u);
    ${stripRows(form, length, 'mine', 'tap')}`
    : '';
  const rows = isStrip
    ? `let beforeRow = subgroupShuffle(before, j); let ownRow = subgroupShuffle(own, j); let afterRow = subgroupShuffle(after, j);
      let noBefore = beforeRow == ${NO_ROW}; let noOwn = ownRow == ${NO_ROW}; let noAfter = afterRow == ${NO_ROW};
      let row0 = select(beforeRow, 0u, noBefore) * K; let row${own + 1} = select(afterRow, 0u, noAfter) * K;
      ${lines(own, (i) => `let row${i + 1} = (select(ownRow, 0u, noOwn) + ${i}u) * K;`)}`
    : lines(length, (i) => `let row${i} = rowOf(min(m + ${i}u, M - 1u), tap) * K;`);
  const absent = (i: number) => (i === 0 ? 'noBefore' : i === own + 1 ? 'noAfter' : 'noOwn');
  const values = lines(vectors, (v) =>
    range(isStrip ? own + 2 : length)
      .map((i) =>
        isStrip
          ? `let a${v}_${i} = select(a[row${i} + k${v}], 0.0, ${absent(i)});`
          : `let a${v}_${i} = a[row${i} + k${v}];`,
      )
      .join(' '),
  );
  const products = lines(columns, (n) => {
    const updates = range(group).flatMap((t) =>
      range(vectors).map(
        (v) =>
          `sum${t}_${v}_${n} += ${range(length)
            .map((i) => `a${v}_${form.step * i + t} * s${i}`)
            .join(' + ')};`,
      ),
    );
    return `{ ${range(length)
      .map((i) => `let s${i} = ${from(i, n)};`)
      .join(' ')} ${updates.join(' ')} }`;
  });
  const [biasStart, biasSum, biasStore] = variant.bias
    ? [
        lines(loads, (g) => `var bias${g} = 0.0;`),
        lines(loads, (g) => `bias${g} += d${g};`),
        `if (unit % tiles == 0u) {
    ${lines(loads, (g) => `if (ahead${g} < ${length}u && n0 + (lane + ${g * lanes}u) % ${columns}u < N) { biasPartials[split * ${length}u * N + place${g}] = bias${g}; }`)}
  }`,
      ]
    : ['', '', ''];
  const code = `${weightGradientLibrary(variant)}
@compute @workgroup_size(${SUBGROUPS_A_WORKGROUP * lanes})
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) local: u32, @builtin(subgroup_invocation_id) lane: u32) {
  let M = u.rows; let N = u.columns; let K = u.inner; // a uniform read is a full load on SwiftShader: once each
  let across = (K + ${vectors * lanes - 1}u) / ${vectors * lanes}u;
  let tiles = across * ${taps / group}u;
  let unit = workgroup.x * ${SUBGROUPS_A_WORKGROUP}u + local / ${lanes}u;
  let split = unit / tiles;
  let k = (unit % tiles % across) * ${vectors * lanes}u + lane;
  let tap = (unit % tiles / across) * ${group}u;
  let n0 = workgroup.y * ${columns}u;
  let firstD = rowOfD(0u, tap) * N;
  ${lines(vectors, (v) => `let k${v} = min(k + ${v * lanes}u, K - 1u);`)}
  ${lines(loads, (g) => {
    const entry = `(lane + ${g * lanes}u)`;
    return `let ahead${g} = ${entry} / ${columns}u; let place${g} = ahead${g} * N + min(n0 + ${entry} % ${columns}u, N - 1u);`;
  })}
  ${each((d, v, n) => `var sum${d}_${v}_${n} = 0.0;`)}
  ${biasStart}
  let first = split * u.rowsPerSplit;
  let steps = u.rowsPerSplit / ${length * lanes}u;
  let strips = u.lanes; // = ${lanes}, a uniform so that no compiler unrolls the loop over them
  for (var step = 0u; step < steps; step++) {
    let chunk = first + step * ${length * lanes}u;
    ${addresses}
    for (var j = 0u; j < strips; j++) {
      let m = chunk + j * ${length}u;
      ${rows}
      ${lines(loads, (g) => `let d${g} = select(0.0, d[firstD + min(m * N + place${g}, M * N - 1u)], m + ahead${g} < M && ahead${g} < ${length}u);`)}
      ${biasSum}
      ${values}
      ${products}
    }
  }
  var results: array<f32, ${group * vectors * columns}>;
  ${each((d, v, n) => `results[${(d * vectors + v) * columns + n}] = sum${d}_${v}_${n};`)}
  if (split >= u.splits) { return; }
  ${biasStore}
  let width = min(${columns}u, N - n0);
  let down = min(${vectors}u, K);
  let deep = min(${group}u, M * 3u); // bounds that no compiler unrolls
  for (var d = 0u; d < deep; d++) {
    for (var v = 0u; v < down; v++) {
      let channel = k + v * ${lanes}u;
      if (channel >= K) { continue; }
      let out = ((split * ${taps}u + tap + d) * K + channel) * N + n0;
      for (var n = 0u; n < width; n++) { partials[out + n] = results[(d * ${vectors}u + v) * ${columns}u + n]; }
    }
  }
}`;
  return kernel({
    name: 'weight-gradient-strip',
    variant: { ...variant, ...tile },
    reads: weightGradientReads(variant),
    writes: { partials: 'f32', ...(variant.bias ? { biasPartials: 'f32' as const } : {}) },
    uniforms: { count: 'u32', ...WEIGHT_GRADIENT_UNIFORMS, lanes: 'u32' },
    subgroups: true,
    code,
  });
}

/**
 * The weight gradient's micro-kernel for software adapters with subgroups. Lanes are input channels (`vectors` of them), a tile is
 * those × `columns` output channels × the dz taps of `lines` dy at one dx: three taps a line, or four on the finer grid. The contraction
 * runs over strips of `length` rows along z: one line's values of a serve its dz taps (`strip-form.ts`), and d, one lane-parallel load of
 * (row, column) pairs handed out by broadcasts, serves all lines.
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
  /** Lines of taps along z, where addressing looks around: a divisor of its dy. */
  readonly lines: number;
  readonly length: number;
  readonly columns: number;
}

const range = (n: number) => Array.from({ length: n }, (_, i) => i);
const lines = (n: number, line: (i: number) => string) => range(n).map(line).join('\n      ');

/** Taps that one tile works on. */
export function tapsOfTile(variant: WeightGradientVariant, lines: number): number {
  return looksAround(variant.addressing) ? lines * stripForm(variant.addressing).weights : 1;
}

/** Launch: a subgroup for each (split, tap group, channel tile) along x, column tiles along y. `rowsPerSplit` is a multiple of length · lanes. */
export function stripWeightGradientKernel(variant: WeightGradientVariant, tile: StripGradientTile): Kernel {
  const { lanes, vectors, length, columns } = tile;
  const taps = TAPS[variant.addressing];
  const group = tapsOfTile(variant, tile.lines);
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
  const taken = range(isStrip ? tile.lines : 0); // lines
  const addresses = isStrip
    ? `let mine = min(chunk + lane * ${length}u, M - ${length}u);
    ${taken.map((l) => stripRows(form, length, 'mine', `(tap + ${l * form.weights}u)`, `${l}`)).join('\n    ')}`
    : '';
  const rows = isStrip
    ? taken.map((l) => rowsOfLine(l, own)).join('\n      ')
    : lines(length, (i) => `let row${i} = rowOf(min(m + ${i}u, M - 1u), tap) * K;`);
  const values = lines(vectors, (v) =>
    isStrip
      ? taken.flatMap((l) => range(own + 2).map((i) => `let a${v}_${l}_${i} = ${valueOfLine(l, i, own, v)};`)).join(' ')
      : range(length)
          .map((i) => `let a${v}_0_${i} = a[row${i} + k${v}];`)
          .join(' '),
  );
  const products = lines(columns, (n) => {
    const updates = range(group).flatMap((t) => {
      const [line, dz] = [Math.floor(t / form.weights), t % form.weights];
      return range(vectors).map(
        (v) =>
          `sum${t}_${v}_${n} += ${range(length)
            .map((i) => `a${v}_${line}_${form.step * i + dz} * s${i}`)
            .join(' + ')};`,
      );
    });
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

/** WGSL: rows of the line's values for strip j, times K: one before its own, its own, one after. */
function rowsOfLine(l: number, own: number): string {
  const row = (i: number) => `row${l}_${i}`;
  return `let beforeRow${l} = subgroupShuffle(before${l}, j); let ownRow${l} = subgroupShuffle(own${l}, j); let afterRow${l} = subgroupShuffle(after${l}, j);
      let noBefore${l} = beforeRow${l} == ${NO_ROW}; let noOwn${l} = ownRow${l} == ${NO_ROW}; let noAfter${l} = afterRow${l} == ${NO_ROW};
      let ${row(0)} = select(beforeRow${l}, 0u, noBefore${l}) * K; let ${row(own + 1)} = select(afterRow${l}, 0u, noAfter${l}) * K;
      let ${row(1)} = select(ownRow${l}, 0u, noOwn${l}) * K;
      ${range(own - 1)
        .map((i) => `let ${row(i + 2)} = ${row(1)} + ${i + 1}u * K;`)
        .join(' ')}`;
}

function valueOfLine(l: number, i: number, own: number, v: number): string {
  const absent = i === 0 ? 'noBefore' : i === own + 1 ? 'noAfter' : 'noOwn';
  return `select(a[row${l}_${i} + k${v}], 0.0, ${absent}${l})`;
}

/**
 * Layer normalisation over the channels of each row, biased variance.
 *
 * `lanes` threads share a row (1 on software adapters: a barrier there costs more than the row), a workgroup holds
 * 64 / lanes rows and 256 B of workgroup memory where lanes > 1. A row is read three times forward (mean, variance, result),
 * the second and third time from cache.
 */

import { fold, SUM } from './lib/fold.ts';
import { type Kernel, kernel, WORKGROUP } from './lib/kernel.ts';

/** WGSL `rowSum(local, value)`: the sum of `value` over a row's lanes, the same in each of them, in a fixed order. */
function rowSum(lanes: number): string {
  if (lanes === 1) return 'fn rowSum(local: u32, value: f32) -> f32 { return value; }';
  return `
var<workgroup> tree: array<f32, ${WORKGROUP}>;
fn rowSum(local: u32, value: f32) -> f32 {
  let lane = local % ${lanes}u;
  workgroupBarrier();
  tree[local] = value;
  ${fold(SUM, { threads: lanes, lane: 'lane' })}
  workgroupBarrier();
  return tree[local - lane];
}`;
}

/** Threads a row for so many channels on a GPU: enough that a row's reads are wide, few enough that all have work. */
export function layerNormLanes(channels: number, software: boolean): number {
  if (software) return 1;
  let lanes = 4;
  while (lanes < WORKGROUP && lanes * 8 <= channels) lanes *= 2;
  return lanes;
}

function entry(lanes: number, body: string): string {
  return `${rowSum(lanes)}
@compute @workgroup_size(${WORKGROUP})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
  let thread = (group.y * groups.x + group.x) * ${WORKGROUP}u + local;
  let present = thread / ${lanes}u < u.rows;
  let row = min(thread / ${lanes}u, u.rows - 1u); // threads past the end repeat the last row and write nothing
  let first = row * u.channels + thread % ${lanes}u;
  let end = (row + 1u) * u.channels;
  let n = f32(u.channels);
  ${body}
}`;
}

/** y = (x − mean) · rstd · gamma + beta; statistics [rows, 2] = mean, 1 / sqrt(variance + epsilon). */
export function layerNormKernel(lanes: number): Kernel {
  const body = `
  var sum = 0.0;
  for (var i = first; i < end; i += ${lanes}u) { sum += x[i]; }
  let mean = rowSum(local, sum) / n;
  var squares = 0.0;
  for (var i = first; i < end; i += ${lanes}u) { let d = x[i] - mean; squares += d * d; }
  let rstd = inverseSqrt(rowSum(local, squares) / n + u.epsilon);
  if (!present) { return; }
  for (var i = first; i < end; i += ${lanes}u) {
    let channel = i - row * u.channels;
    y[i] = (x[i] - mean) * rstd * gamma[channel] + beta[channel];
  }
  if (thread % ${lanes}u == 0u) { statistics[2u * row] = mean; statistics[2u * row + 1u] = rstd; }`;
  return kernel({
    name: 'layer-norm',
    variant: { lanes },
    reads: { x: 'f32', gamma: 'f32', beta: 'f32' },
    writes: { y: 'f32', statistics: 'f32' },
    uniforms: { rows: 'u32', channels: 'u32', epsilon: 'f32' },
    code: entry(lanes, body),
  });
}

/** dx = rstd · (g − mean(g) − x̂ · mean(g · x̂)), g = dy · gamma; plus `residual`, of x's shape, where there is one. */
export function layerNormGradientKernel(lanes: number, residual: boolean): Kernel {
  const body = `
  let mean = statistics[2u * row];
  let rstd = statistics[2u * row + 1u];
  var sum = 0.0;
  var product = 0.0;
  for (var i = first; i < end; i += ${lanes}u) {
    let g = dy[i] * gamma[i - row * u.channels];
    sum += g;
    product += g * (x[i] - mean) * rstd;
  }
  let meanG = rowSum(local, sum) / n;
  let meanProduct = rowSum(local, product) / n;
  if (!present) { return; }
  for (var i = first; i < end; i += ${lanes}u) {
    let g = dy[i] * gamma[i - row * u.channels];
    dx[i] = rstd * (g - meanG - (x[i] - mean) * rstd * meanProduct)${residual ? ' + residual[i]' : ''};
  }`;
  return kernel({
    name: 'layer-norm-gradient',
    variant: { lanes, residual },
    reads: { x: 'f32', gamma: 'f32', statistics: 'f32', dy: 'f32', ...(residual ? { residual: 'f32' as const } : {}) },
    writes: { dx: 'f32' },
    uniforms: { rows: 'u32', channels: 'u32' },
    code: entry(lanes, body),
  });
}

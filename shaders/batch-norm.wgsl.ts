/**
 * Batch normalisation over all rows of a [rows, channels] matrix, with ReLU at will. Statistics in two passes of fixed order:
 * each thread takes a mean and a sum of squares about it, a workgroup a channel merges them by Chan's rule, which does not
 * cancel where the mean is large against the deviation.
 */

import type { ColumnTerms } from './column-sums.wgsl.ts';
import { fold } from './lib/fold.ts';
import { elementwise, type Kernel, kernel, strided, WORKGROUP } from './lib/kernel.ts';

/** `partials` [3, chunks, channels]: how many rows, their mean, their sum of squares about it. Launch and layout as `columnPartials`. */
export function batchMomentsKernel(ahead: number): Kernel {
  const body = `
  let end = u.rows * u.channels;
  let pivot = x[i]; // chunks ≤ rows, so every thread has a row
  var n = 0.0;
  var sum = 0.0;
  var squares = 0.0;
  ${strided('i', 'end', 'u.count', ahead, 'let d = x[at] - pivot; n += 1.0; sum += d; squares += d * d;')}
  partials[i] = n;
  partials[i + u.count] = pivot + sum / n;
  partials[i + 2u * u.count] = max(squares - sum * sum / n, 0.0);`;
  const uniforms = { count: 'u32', rows: 'u32', channels: 'u32' } as const;
  return kernel({
    name: 'batch-moments',
    variant: { ahead },
    reads: { x: 'f32' },
    writes: { partials: 'f32' },
    uniforms,
    code: elementwise(body),
  });
}

/** WGSL: Chan's rule, (n, mean, M2) of two sets together; `momentsOf` a chunk; what is written once they are merged. */
const MERGE = `
fn merge(a: vec3f, b: vec3f) -> vec3f {
  let n = a.x + b.x;
  let d = b.y - a.y;
  let share = select(b.x / n, 0.0, n == 0.0);
  return vec3f(n, a.y + d * share, a.z + b.z + d * d * a.x * share);
}
fn momentsOf(chunk: u32, channel: u32) -> vec3f {
  let at = chunk * u.channels + channel;
  let plane = u.chunks * u.channels;
  return vec3f(partials[at], partials[at + plane], partials[at + 2u * plane]);
}
fn isFinite(value: f32) -> bool { return (bitcast<u32>(value) & 0x7f800000u) != 0x7f800000u; }
fn finish(channel: u32, all: vec3f) {
  let variance = all.z / all.x;
  statistics[channel] = all.y;
  statistics[u.channels + channel] = inverseSqrt(variance + u.epsilon);
  if (isFinite(all.y) && isFinite(variance)) {
    runningMean[channel] = u.keep * runningMean[channel] + (1.0 - u.keep) * all.y;
    runningVariance[channel] = u.keep * runningVariance[channel] + (1.0 - u.keep) * variance * u.unbias;
  }
}`;

/** A workgroup a channel merges its chunks in a tree; 768 B of workgroup memory. */
const MERGE_IN_TREE = `
var<workgroup> counts: array<f32, ${WORKGROUP}>;
var<workgroup> means: array<f32, ${WORKGROUP}>;
var<workgroup> squares: array<f32, ${WORKGROUP}>;

@compute @workgroup_size(${WORKGROUP})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
  let channel = group.y * groups.x + group.x;
  var all = vec3f(0.0);
  if (channel < u.channels) {
    for (var chunk = local; chunk < u.chunks; chunk += ${WORKGROUP}u) { all = merge(all, momentsOf(chunk, channel)); }
  }
  counts[local] = all.x;
  means[local] = all.y;
  squares[local] = all.z;
  ${fold(`
      let both = merge(vec3f(counts[local], means[local], squares[local]), vec3f(counts[other], means[other], squares[other]));
      counts[local] = both.x;
      means[local] = both.y;
      squares[local] = both.z;`)}
  if (local == 0u && channel < u.channels) { finish(channel, vec3f(counts[0], means[0], squares[0])); }
}`;

/** A thread a channel merges its chunks one after another: on a CPU a barrier costs more. `count` channels. */
const MERGE_IN_TURN = elementwise(`
  var all = vec3f(0.0);
  for (var chunk = 0u; chunk < u.chunks; chunk++) { all = merge(all, momentsOf(chunk, i)); }
  finish(i, all);`);

/**
 * Merges the partials: `statistics` [2, channels] = mean, 1 / sqrt(biased variance + epsilon), and moves the running ones: keep · running +
 * (1 − keep) · batch, with the unbiased variance (`unbias` = n / (n − 1)). A channel whose statistics are not finite, because a map
 * overflowed, leaves them as they are: they would never be finite again. WGSL may assume that all numbers are, so bits are looked at.
 */
export function batchStatisticsKernel(tree: boolean): Kernel {
  return kernel({
    name: 'batch-statistics',
    variant: { tree },
    reads: { partials: 'f32' },
    writes: { statistics: 'f32' },
    updates: { runningMean: 'f32', runningVariance: 'f32' },
    uniforms: { count: 'u32', channels: 'u32', chunks: 'u32', epsilon: 'f32', keep: 'f32', unbias: 'f32' },
    code: MERGE + (tree ? MERGE_IN_TREE : MERGE_IN_TURN),
  });
}

/** Running statistics in the layout that the batch's have: `statistics` [2, channels]. */
export function frozenStatisticsKernel(): Kernel {
  return kernel({
    name: 'frozen-statistics',
    reads: { runningMean: 'f32', runningVariance: 'f32' },
    writes: { statistics: 'f32' },
    uniforms: { count: 'u32', epsilon: 'f32' },
    code: elementwise(`
  statistics[i] = runningMean[i];
  statistics[u.count + i] = inverseSqrt(runningVariance[i] + u.epsilon);`),
  });
}

/**
 * A thread stays with one channel and walks the rows `count` elements apart (a multiple of the channels): what belongs to the
 * channel is read once, and no element costs an integer division, which CPUs do a lane at a time.
 */
const CHANNEL = `
  let channel = i % u.channels;
  let mean = statistics[channel];
  let rstd = statistics[u.channels + channel];
  let scale = gamma[channel];
  let end = u.rows * u.channels;`;
const walk = { count: 'u32', rows: 'u32', channels: 'u32' } as const;

const reads = { x: 'f32', statistics: 'f32', gamma: 'f32', beta: 'f32' } as const;

/** y = gamma · x̂ + beta, cut at zero with `relu`. */
export function batchNormKernel(relu: boolean): Kernel {
  return kernel({
    name: 'batch-norm',
    variant: { relu },
    reads,
    writes: { y: 'f32' },
    uniforms: walk,
    code: elementwise(`${CHANNEL}
  let shift = beta[channel];
  for (var at = i; at < end; at += u.count) {
    let value = scale * ((x[at] - mean) * rstd) + shift;
    y[at] = ${relu ? 'max(value, 0.0)' : 'value'};
  }`),
  });
}

/** WGSL: the gradient behind the ReLU. */
const behindReLU = (relu: boolean) => (relu ? 'select(0.0, dy[at], scale * normalised + shift > 0.0)' : 'dy[at]');

/** The sums of the backward pass: of g (dBeta) and of g · x̂ (dGamma). */
export function batchNormTerms(relu: boolean): ColumnTerms {
  // Without ReLU beta is not used, and an unused binding would be an error nowhere but a waste.
  return {
    name: relu ? 'batch-norm-relu' : 'batch-norm',
    reads: relu ? { ...reads, dy: 'f32' } : { x: 'f32', statistics: 'f32', dy: 'f32' },
    head: `
  let mean = statistics[channel];
  let rstd = statistics[u.channels + channel];
  ${relu ? 'let scale = gamma[channel]; let shift = beta[channel];' : ''}`,
    prelude: `
    let normalised = (x[at] - mean) * rstd;
    let g = ${behindReLU(relu)};`,
    terms: ['g', 'g * normalised'],
  };
}

/** dx = gamma · rstd · (g − mean(g) − x̂ · mean(g · x̂)); with frozen statistics the two means are left out. */
export function batchNormGradientKernel(relu: boolean, frozen: boolean): Kernel {
  const needed = relu ? reads : ({ x: 'f32', statistics: 'f32', gamma: 'f32' } as const);
  const sums: Record<string, 'f32'> = frozen ? {} : { dBeta: 'f32', dGamma: 'f32' };
  return kernel({
    name: 'batch-norm-gradient',
    variant: { relu, frozen },
    reads: { ...needed, dy: 'f32', ...sums },
    writes: { dx: 'f32' },
    uniforms: { ...walk, share: 'f32' },
    code: elementwise(`${CHANNEL}
  ${relu ? 'let shift = beta[channel];' : ''}
  ${frozen ? '' : 'let meanG = dBeta[channel] * u.share; let meanProduct = dGamma[channel] * u.share;'}
  for (var at = i; at < end; at += u.count) {
    let normalised = (x[at] - mean) * rstd;
    let g = ${behindReLU(relu)};
    dx[at] = scale * rstd * ${frozen ? 'g' : '(g - meanG - normalised * meanProduct)'};
  }`),
  });
}

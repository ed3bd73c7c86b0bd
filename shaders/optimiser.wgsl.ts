/**
 * The optimiser over flat chunks of parameters: global gradient norm, clip factor, AdamW.
 *
 * `scaled` variants belong to gradients times a loss scale s, computed with feature maps of f16. A map that overflowed leaves an infinite or NaN
 * gradient. Then the step is left out and s is halved; after a number of good steps s is doubled. WGSL may assume that neither infinity nor NaN
 * exists, so both are looked for in the bits.
 */

import { fold, SUM } from './lib/fold.ts';
import { elementwise, type Kernel, kernel, WORKGROUP } from './lib/kernel.ts';

/** What a gradient that is not finite counts as in Σ g², and from where on the sum says that there was one. */
const OVERFLOW = '3.0e38';
const OVERFLOW_BITS = '0x7e967699u'; // of 1.0e38

/**
 * `partials`[first + workgroup] = Σ g² of a strided part. 256 B of workgroup memory. The first launch writes, later ones add to the list.
 * `scaled`: g that is not finite counts as `OVERFLOW`.
 */
export function squaresKernel(isFirst: boolean, scaled: boolean): Kernel {
  const square = scaled
    ? `let g = gradients[i]; sum += select(g * g, ${OVERFLOW}, (bitcast<u32>(g) & 0x7f800000u) == 0x7f800000u);`
    : 'sum += gradients[i] * gradients[i];';
  const code = `
var<workgroup> tree: array<f32, ${WORKGROUP}>;
@compute @workgroup_size(${WORKGROUP})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
  var sum = 0.0;
  for (var i = group.x * ${WORKGROUP}u + local; i < u.count; i += groups.x * ${WORKGROUP}u) { ${square} }
  tree[local] = sum;
  ${fold(SUM)}
  if (local == 0u) { partials[u.first + group.x] = tree[0]; }
}`;
  const partials = { partials: 'f32' } as const;
  return kernel({
    name: 'squares',
    variant: { isFirst, scaled },
    reads: { gradients: 'f32' },
    ...(isFirst ? { writes: partials } : { updates: partials }),
    uniforms: { count: 'u32', first: 'u32' },
    code,
  });
}

/** WGSL: Σ `partials` in tree[0], by the one workgroup; then `body` by its first thread. */
function ofTotal(body: string): string {
  return `
var<workgroup> tree: array<f32, ${WORKGROUP}>;
@compute @workgroup_size(${WORKGROUP})
fn main(@builtin(local_invocation_index) local: u32) {
  var sum = 0.0;
  for (var i = local; i < u.count; i += ${WORKGROUP}u) { sum += partials[i]; }
  tree[local] = sum;
  ${fold(SUM)}
  if (local == 0u) {
    ${body}
  }
}`;
}

/** `norm` [2] = the L2 norm of all gradients, min(1, clip / (norm + 1e-6)). One workgroup. */
export function clipKernel(): Kernel {
  return kernel({
    name: 'clip',
    reads: { partials: 'f32' },
    writes: { norm: 'f32' },
    uniforms: { count: 'u32', clip: 'f32' },
    code: ofTotal(`norm[0] = sqrt(tree[0]);
    norm[1] = min(1.0, u.clip / (norm[0] + 1e-6));`),
  });
}

/**
 * As `clip`, for gradients times s = `lossScale`[0]: `norm` [3] = the norm without s, the factor that clips and takes s away, s. Where some
 * gradient is not finite: infinity, 0, s. `lossScale` [2] = s of the next step, good steps since it last changed.
 */
export function scaledClipKernel(): Kernel {
  return kernel({
    name: 'scaled-clip',
    reads: { partials: 'f32' },
    writes: { norm: 'f32' },
    updates: { lossScale: 'f32' },
    uniforms: { count: 'u32', clip: 'f32', interval: 'f32', most: 'f32' },
    code: ofTotal(`let s = lossScale[0];
    let overflowed = bitcast<u32>(tree[0]) >= ${OVERFLOW_BITS};
    let length = sqrt(tree[0]) / s;
    norm[0] = bitcast<f32>(select(bitcast<u32>(length), 0x7f800000u, overflowed));
    norm[1] = select(min(1.0, u.clip / (length + 1e-6)) / s, 0.0, overflowed);
    norm[2] = s;
    let good = lossScale[1] + 1.0;
    let grows = good >= u.interval;
    lossScale[0] = select(select(s, min(2.0 * s, u.most), grows), max(0.5 * s, 1.0), overflowed);
    lossScale[1] = select(good, 0.0, overflowed || grows);`),
  });
}

/**
 * AdamW. `schedule` [4] = lr / (1 − β₁ᵗ), 1 − lr · weightDecay, 1 / sqrt(1 − β₂ᵗ), unused: computed on the host in float64.
 * `count` threads share `size` elements. `scaled`: nothing changes where the factor is 0. Rule: golden/README.md, "AdamW".
 */
export function adamwKernel(scaled: boolean): Kernel {
  return kernel({
    name: 'adamw',
    variant: { scaled },
    reads: { gradients: 'f32', norm: 'f32', schedule: 'f32' },
    updates: { parameters: 'f32', firstMoments: 'f32', secondMoments: 'f32' },
    uniforms: { count: 'u32', size: 'u32', beta1: 'f32', beta2: 'f32', rest1: 'f32', rest2: 'f32', epsilon: 'f32' },
    code: elementwise(`
  let clip = norm[1];
  ${scaled ? 'if (clip == 0.0) { return; }' : ''}
  let rate = schedule[0];
  let decay = schedule[1];
  let unbias = schedule[2];
  for (var at = i; at < u.size; at += u.count) {
    let g = gradients[at] * clip;
    let m = u.beta1 * firstMoments[at] + u.rest1 * g;
    let v = u.beta2 * secondMoments[at] + u.rest2 * g * g;
    firstMoments[at] = m;
    secondMoments[at] = v;
    parameters[at] = parameters[at] * decay - rate * m / (sqrt(v) * unbias + u.epsilon);
  }`),
  });
}

/** Elements of one gradient that a workgroup of `sumGradients` adds up. */
export const SUM_BLOCK = 1024;

/**
 * Adds up the partial sums of many gradients: gradients[first + e] = Σ over s of partials[source + s · size + e], in order. `sums` [sums, 4] =
 * source, splits, size, first; `blocks` [count, 2] = a sum, its first element of that block. With `keep`, as `accumulate`. A workgroup a block,
 * or fewer that walk them.
 */
export function sumGradientsKernel(accumulates: boolean): Kernel {
  const code = `
@compute @workgroup_size(${WORKGROUP})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
  ${accumulates ? 'let kept = keep[0];' : ''}
  for (var block = group.y * groups.x + group.x; block < u.count; block += groups.x * groups.y) {
    let entry = blocks[2u * block] * 4u;
    let begin = blocks[2u * block + 1u];
    let source = sums[entry]; let splits = sums[entry + 1u]; let size = sums[entry + 2u]; let first = sums[entry + 3u];
    let end = min(begin + ${SUM_BLOCK}u, size);
    for (var e = begin + local; e < end; e += ${WORKGROUP}u) {
      var sum = 0.0;
      for (var split = 0u; split < splits; split++) { sum += partials[source + split * size + e]; }
      gradients[first + e] = ${accumulates ? 'select(kept * gradients[first + e], 0.0, kept == 0.0) + sum' : 'sum'};
    }
  }
}`;
  return kernel({
    name: 'sum-gradients',
    variant: { accumulates },
    reads: { partials: 'f32', sums: 'u32', blocks: 'u32', ...(accumulates ? { keep: 'f32' as const } : {}) },
    updates: { gradients: 'f32' },
    uniforms: { count: 'u32' },
    code,
  });
}

/** total = keep[0] · total + x: gradient accumulation; keep is 0 in the first micro-batch of a step, then 1. */
export function accumulateKernel(): Kernel {
  return kernel({
    name: 'accumulate',
    reads: { x: 'f32', keep: 'f32' },
    updates: { total: 'f32' },
    uniforms: { count: 'u32' },
    code: elementwise('total[i] = select(keep[0] * total[i], 0.0, keep[0] == 0.0) + x[i];'),
  });
}

/**
 * Multi-head attention among a sample's tokens. `qkv` [samples · tokens, 3 · heads · dim]: query, key, value, each head by head.
 * The weights P [samples, heads, tokens, tokens] are kept: with at most some hundred visible tokens they are small.
 */

import { fold, SUM } from './lib/fold.ts';
import { elementwise, type Kernel, kernel, WORKGROUP } from './lib/kernel.ts';

const sizes = { tokens: 'u32', heads: 'u32', dim: 'u32' } as const;

/** WGSL: where query (0), key (1) or value (2) of (sample, token, head) begins in `qkv`. */
const SHARED = `
fn partOf(part: u32, sample: u32, token: u32, head: u32) -> u32 {
  let width = u.heads * u.dim;
  return (sample * u.tokens + token) * 3u * width + part * width + head * u.dim;
}
fn outOf(sample: u32, token: u32, head: u32) -> u32 {
  return ((sample * u.tokens + token) * u.heads + head) * u.dim;
}`;

/** A workgroup a row of P, its threads over the columns; trees of fixed order in 256 B of workgroup memory. */
function rowEntry(body: string): string {
  return `${SHARED}
var<workgroup> tree: array<f32, ${WORKGROUP}>;
@compute @workgroup_size(${WORKGROUP})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
  let index = group.y * groups.x + group.x;
  let present = index < u.count;
  let row = min(index, u.count - 1u); // row = (sample · heads + head) · tokens + i
  let i = row % u.tokens;
  let head = (row / u.tokens) % u.heads;
  let sample = row / (u.tokens * u.heads);
  ${body}
}`;
}

const everyone = (combine: string) => `${fold(combine)}
  workgroupBarrier();`;

/** P = softmax(scale · Q Kᵀ) */
export function attentionWeightsKernel(): Kernel {
  const body = `
  let query = partOf(0u, sample, i, head);
  var most = -3.0e38;
  for (var j = local; j < u.tokens; j += ${WORKGROUP}u) {
    let key = partOf(1u, sample, j, head);
    var score = 0.0;
    for (var d = 0u; d < u.dim; d++) { score += qkv[query + d] * qkv[key + d]; }
    score *= u.scale;
    if (present) { weights[row * u.tokens + j] = score; }
    most = max(most, score);
  }
  tree[local] = most;
  ${everyone('tree[local] = max(tree[local], tree[other]);')}
  most = tree[0];
  workgroupBarrier();
  var sum = 0.0;
  if (present) {
    for (var j = local; j < u.tokens; j += ${WORKGROUP}u) {
      let e = exp(weights[row * u.tokens + j] - most);
      weights[row * u.tokens + j] = e;
      sum += e;
    }
  }
  tree[local] = sum;
  ${everyone(SUM)}
  let share = 1.0 / tree[0];
  if (present) { for (var j = local; j < u.tokens; j += ${WORKGROUP}u) { weights[row * u.tokens + j] *= share; } }`;
  const uniforms = { count: 'u32', ...sizes, scale: 'f32' } as const;
  return kernel({
    name: 'attention-weights',
    reads: { qkv: 'f32' },
    writes: { weights: 'f32' },
    uniforms,
    code: rowEntry(body),
  });
}

/** y = P V, [samples · tokens, heads · dim]; a thread an element. */
export function attentionOutputKernel(): Kernel {
  return kernel({
    name: 'attention-output',
    reads: { qkv: 'f32', weights: 'f32' },
    writes: { y: 'f32' },
    uniforms: { count: 'u32', ...sizes },
    code:
      SHARED +
      elementwise(`
  let width = u.heads * u.dim;
  let head = (i % width) / u.dim;
  let token = i / width;
  let sample = token / u.tokens;
  let row = ((sample * u.heads + head) * u.tokens + token % u.tokens) * u.tokens;
  var sum = 0.0;
  for (var j = 0u; j < u.tokens; j++) { sum += weights[row + j] * qkv[partOf(2u, sample, j, head) + i % u.dim]; }
  y[i] = sum;`),
  });
}

/** Gradient at the scores: dS = P · (dP − Σ P dP), dP = dY Vᵀ. */
export function attentionScoresGradientKernel(): Kernel {
  const body = `
  let out = outOf(sample, i, head);
  var sum = 0.0;
  for (var j = local; j < u.tokens; j += ${WORKGROUP}u) {
    let value = partOf(2u, sample, j, head);
    var product = 0.0;
    for (var d = 0u; d < u.dim; d++) { product += dy[out + d] * qkv[value + d]; }
    if (present) { dScores[row * u.tokens + j] = product; }
    sum += product * weights[row * u.tokens + j];
  }
  tree[local] = sum;
  ${everyone(SUM)}
  if (present) {
    for (var j = local; j < u.tokens; j += ${WORKGROUP}u) {
      let at = row * u.tokens + j;
      dScores[at] = weights[at] * (dScores[at] - tree[0]);
    }
  }`;
  const reads = { qkv: 'f32', weights: 'f32', dy: 'f32' } as const;
  return kernel({
    name: 'attention-scores-gradient',
    reads,
    writes: { dScores: 'f32' },
    uniforms: { count: 'u32', ...sizes },
    code: rowEntry(body),
  });
}

/** dQ = scale · dS K, dK = scale · dSᵀ Q, dV = Pᵀ dY, side by side as in `qkv`; a thread an element. */
export function attentionGradientKernel(): Kernel {
  return kernel({
    name: 'attention-gradient',
    reads: { qkv: 'f32', weights: 'f32', dScores: 'f32', dy: 'f32' },
    writes: { dQkv: 'f32' },
    uniforms: { count: 'u32', ...sizes, scale: 'f32' },
    code:
      SHARED +
      elementwise(`
  let width = u.heads * u.dim;
  let part = (i / width) % 3u;
  let head = (i % width) / u.dim;
  let d = i % u.dim;
  let sample = i / (3u * width * u.tokens);
  let token = (i / (3u * width)) % u.tokens;
  let square = (sample * u.heads + head) * u.tokens * u.tokens;
  var sum = 0.0;
  if (part == 0u) {
    for (var j = 0u; j < u.tokens; j++) { sum += dScores[square + token * u.tokens + j] * qkv[partOf(1u, sample, j, head) + d]; }
    sum *= u.scale;
  } else if (part == 1u) {
    for (var j = 0u; j < u.tokens; j++) { sum += dScores[square + j * u.tokens + token] * qkv[partOf(0u, sample, j, head) + d]; }
    sum *= u.scale;
  } else {
    for (var j = 0u; j < u.tokens; j++) { sum += weights[square + j * u.tokens + token] * dy[outOf(sample, j, head) + d]; }
  }
  dQkv[i] = sum;`),
  });
}

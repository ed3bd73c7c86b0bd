/**
 * The per-patch normalised masked squared error. A workgroup a patch of `voxels` voxels (256 B of workgroup memory), then
 * one workgroup over the patches: sums of fixed order.
 */

import { fold, SUM } from './lib/fold.ts';
import { elementwise, type Kernel, kernel, WORKGROUP } from './lib/kernel.ts';
import { NO_ROW } from './lib/rows.ts';

const TREE = `
var<workgroup> tree: array<f32, ${WORKGROUP}>;
fn total(local: u32, value: f32) -> f32 {
  workgroupBarrier();
  tree[local] = value;
  ${fold(SUM)}
  workgroupBarrier();
  return tree[0];
}`;

/**
 * `statistics` [patches, 2] = mean and 1 / sqrt(unbiased variance + 1e-6) of the image's patch; `errors` [patches] = mean squared
 * error against the normalised patch, zero where the patch is visible.
 */
export function patchErrorKernel(): Kernel {
  const code = `${TREE}
@compute @workgroup_size(${WORKGROUP})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
  let index = group.y * groups.x + group.x;
  let patch_ = min(index, u.count - 1u);
  let first = patch_ * u.voxels + local;
  let end = (patch_ + 1u) * u.voxels;
  let n = f32(u.voxels);
  var sum = 0.0;
  for (var i = first; i < end; i += ${WORKGROUP}u) { sum += image[i]; }
  let mean = total(local, sum) / n;
  var squares = 0.0;
  for (var i = first; i < end; i += ${WORKGROUP}u) { let d = image[i] - mean; squares += d * d; }
  let rstd = inverseSqrt(total(local, squares) / (n - 1.0) + 1e-6);
  var error = 0.0;
  for (var i = first; i < end; i += ${WORKGROUP}u) {
    let d = prediction[i] - (image[i] - mean) * rstd;
    error += d * d;
  }
  error = total(local, error) / n;
  if (local == 0u && index < u.count) {
    statistics[2u * patch_] = mean;
    statistics[2u * patch_ + 1u] = rstd;
    errors[patch_] = select(0.0, error, slots[patch_] == ${NO_ROW});
  }
}`;
  const reads = { prediction: 'f32', image: 'f32', slots: 'u32' } as const;
  const writes = { statistics: 'f32', errors: 'f32' } as const;
  return kernel({ name: 'patch-error', reads, writes, uniforms: { count: 'u32', voxels: 'u32' }, code });
}

/** dPrediction = dLoss · factor · (prediction − target) at hidden patches, zero elsewhere; factor = 2 / (voxels · (hidden + 1e-8)). */
export function patchErrorGradientKernel(): Kernel {
  return kernel({
    name: 'patch-error-gradient',
    reads: { prediction: 'f32', image: 'f32', slots: 'u32', statistics: 'f32', dy: 'f32' },
    writes: { dPrediction: 'f32' },
    uniforms: { count: 'u32', voxels: 'u32', factor: 'f32' },
    code: elementwise(`
  let p = i / u.voxels;
  let d = prediction[i] - (image[i] - statistics[2u * p]) * statistics[2u * p + 1u];
  dPrediction[i] = select(0.0, dy[0] * u.factor * d, slots[p] == ${NO_ROW});`),
  });
}

/** `vis_rec_or_inp`: the image where visible, the prediction taken back to the image's mean and deviation where hidden. */
export function unpatchKernel(): Kernel {
  return kernel({
    name: 'unpatch',
    reads: { prediction: 'f32', image: 'f32', slots: 'u32', statistics: 'f32' },
    writes: { y: 'f32' },
    uniforms: { count: 'u32', voxels: 'u32' },
    code: elementwise(`
  let p = i / u.voxels;
  let restored = prediction[i] / statistics[2u * p + 1u] + statistics[2u * p];
  y[i] = select(image[i], restored, slots[p] == ${NO_ROW});`),
  });
}

/** The sum of all elements, in a fixed order: strided partial sums, then one workgroup's tree. 256 B of workgroup memory. */

import { fold, SUM } from './lib/fold.ts';
import { type Kernel, kernel, WORKGROUP } from './lib/kernel.ts';

/** `partials`[workgroup] = Σ x over a strided part, times `factor`. One workgroup gives the whole sum. */
export function totalKernel(): Kernel {
  const code = `
var<workgroup> tree: array<f32, ${WORKGROUP}>;
@compute @workgroup_size(${WORKGROUP})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
  var sum = 0.0;
  for (var i = group.x * ${WORKGROUP}u + local; i < u.count; i += groups.x * ${WORKGROUP}u) { sum += x[i]; }
  tree[local] = sum;
  ${fold(SUM)}
  if (local == 0u) { y[group.x] = u.factor * tree[0]; }
}`;
  return kernel({
    name: 'total',
    reads: { x: 'f32' },
    writes: { y: 'f32' },
    uniforms: { count: 'u32', factor: 'f32' },
    code,
  });
}

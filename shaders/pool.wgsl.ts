/** 2³ max pooling inside bricks: a thread a result, 8 reads and 1 write forward, 9 reads and 8 writes backward. */

import { elementwise, type Kernel, kernel } from './lib/kernel.ts';
import { rowOf } from './lib/rows.ts';

/** y[row] = max over the 8 children of row. `edgeLog2` is the coarse edge's. */
export function maxPoolKernel(): Kernel {
  return kernel({
    name: 'max-pool',
    reads: { x: 'f32' },
    writes: { y: 'f32' },
    uniforms: { count: 'u32', channels: 'u32', edgeLog2: 'u32' },
    code:
      rowOf('children') +
      elementwise(`
  let row = i / u.channels;
  let channel = i % u.channels;
  var most = x[rowOf(row, 0u) * u.channels + channel];
  for (var tap = 1u; tap < 8u; tap++) { most = max(most, x[rowOf(row, tap) * u.channels + channel]); }
  y[i] = most;`),
  });
}

/** dx: dy at the first child that equals the maximum (in tap order, as PyTorch), zero at the other seven; plus `residual`, of x's shape. */
export function maxPoolGradientKernel(residual: boolean): Kernel {
  return kernel({
    name: 'max-pool-gradient',
    variant: { residual },
    reads: { x: 'f32', y: 'f32', dy: 'f32', ...(residual ? { residual: 'f32' as const } : {}) },
    writes: { dx: 'f32' },
    uniforms: { count: 'u32', channels: 'u32', edgeLog2: 'u32' },
    code:
      rowOf('children') +
      elementwise(`
  let row = i / u.channels;
  let channel = i % u.channels;
  let most = y[i];
  var open = true;
  for (var tap = 0u; tap < 8u; tap++) {
    let at = rowOf(row, tap) * u.channels + channel;
    let chosen = open && x[at] == most;
    dx[at] = select(0.0, dy[i], chosen)${residual ? ' + residual[at]' : ''};
    open = open && !chosen;
  }`),
  });
}

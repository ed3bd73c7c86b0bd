/** Moving values between volumes, visible bricks and all bricks. A thread an element of the result; NONE marks a hidden brick. */

import type { ColumnTerms } from './column-sums.wgsl.ts';
import { elementwise, type Kernel, kernel } from './lib/kernel.ts';
import { NO_ROW } from './lib/rows.ts';

/** y [bricks, edge³] from a volume [batch, x, y, z] (z fastest). `cells` says which brick a slot is. */
export function gatherBricksKernel(): Kernel {
  return kernel({
    name: 'gather-bricks',
    reads: { volume: 'f32', cells: 'u32' },
    writes: { y: 'f32' },
    uniforms: { count: 'u32', edgeLog2: 'u32', gridX: 'u32', gridY: 'u32', gridZ: 'u32' },
    code: elementwise(`
  let s = u.edgeLog2;
  let side = (1u << s) - 1u;
  let cell = cells[i >> (3u * s)];
  let k = cell % u.gridZ;
  let j = (cell / u.gridZ) % u.gridY;
  let bi = cell / (u.gridZ * u.gridY); // sample and brick along x together: both have the same stride rule
  let x = (bi << s) + ((i >> (2u * s)) & side);
  let y0 = (j << s) + ((i >> s) & side);
  let z = (k << s) + (i & side);
  y[i] = volume[(x * (u.gridY << s) + y0) * (u.gridZ << s) + z];`),
  });
}

/** y [all cells, voxels, C] = x at the visible bricks, the token elsewhere. `plane` = voxels · C. */
export function densifyKernel(): Kernel {
  return kernel({
    name: 'densify',
    reads: { x: 'f32', token: 'f32', slots: 'u32' },
    writes: { y: 'f32' },
    uniforms: { count: 'u32', plane: 'u32', channels: 'u32' },
    code: elementwise(`
  let slot = slots[i / u.plane];
  if (slot == ${NO_ROW}) { y[i] = token[i % u.channels]; } else { y[i] = x[slot * u.plane + i % u.plane]; }`),
  });
}

/** dx [visible bricks, voxels, C] = dy at those bricks. */
export function visibleKernel(): Kernel {
  return kernel({
    name: 'visible',
    reads: { x: 'f32', cells: 'u32' },
    writes: { y: 'f32' },
    uniforms: { count: 'u32', plane: 'u32' },
    code: elementwise('y[i] = x[cells[i / u.plane] * u.plane + i % u.plane];'),
  });
}

/** The token's gradient: dy summed over the hidden bricks' voxels. */
export const HIDDEN_SUM: ColumnTerms = {
  name: 'hidden',
  reads: { dy: 'f32', slots: 'u32' },
  uniforms: { voxels: 'u32' },
  terms: [`select(0.0, dy[at], slots[row / u.voxels] == ${NO_ROW})`],
};

/** y = x + the table's row of each slot's cell. x [slots, C], table [cells of a sample, C]. */
export function positionAddKernel(): Kernel {
  return kernel({
    name: 'position-add',
    reads: { x: 'f32', positions: 'f32', cells: 'u32' },
    writes: { y: 'f32' },
    uniforms: { count: 'u32', channels: 'u32', perGrid: 'u32' },
    code: elementwise('y[i] = x[i] + positions[(cells[i / u.channels] % u.perGrid) * u.channels + i % u.channels];'),
  });
}

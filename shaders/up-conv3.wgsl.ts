/** What the composition of a transposed convolution with a 3³ convolution needs besides products: see `src/ops/up-conv3.ts`. */

import { elementwise, type Kernel, kernel } from './lib/kernel.ts';
import { NO_ROW } from './lib/rows.ts';

/**
 * Sums along one axis of a map's bricks, for the four places w on that axis of the composed kernel: dy of the voxels that meet a
 * voxel of the coarse map there. w = 1, 2 are the even and the odd voxels; w = 0 the odd ones but the crop's last, whose coarse voxel
 * would lie outside; w = 3 the even ones but the crop's first.
 * x [outer, edge, inner], y [outer, 4, inner], a thread a column; `outer` counts lines, `linesOfBrick` of them in each brick;
 * `step` is 9, 3 or 1 for x, y or z: the way to the neighbour in the brick table.
 */
export function placeSumsKernel(): Kernel {
  return kernel({
    name: 'place-sums',
    reads: { x: 'f32', neighbours: 'u32' },
    writes: { y: 'f32' },
    uniforms: { count: 'u32', edge: 'u32', inner: 'u32', linesOfBrick: 'u32', step: 'u32' },
    code: elementwise(`
  let outer = i / u.inner;
  let start = outer * u.edge * u.inner + i % u.inner;
  let own = (outer / u.linesOfBrick) * 27u + 13u;
  let first = x[start];
  let last = x[start + (u.edge - 1u) * u.inner];
  var odd = 0.0;
  var even = 0.0;
  for (var p = 1u; p + 1u < u.edge; p += 2u) {
    odd += x[start + p * u.inner];
    even += x[start + (p + 1u) * u.inner];
  }
  let to = outer * 4u * u.inner + i % u.inner;
  y[to] = odd + select(last, 0.0, neighbours[own + u.step] == ${NO_ROW});
  y[to + u.inner] = even + first;
  y[to + 2u * u.inner] = odd + last;
  y[to + 3u * u.inner] = even + select(first, 0.0, neighbours[own - u.step] == ${NO_ROW});`),
  });
}

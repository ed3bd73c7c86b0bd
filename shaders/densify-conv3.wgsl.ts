/**
 * The small kernels around densify + 3³ convolution as a sparse product plus a constant for each of 27 border classes (`lib/rows.ts`).
 * None of them works on more than visible rows, but for the sums of dy, which read it once.
 */

import { elementwise, type Kernel, kernel } from './lib/kernel.ts';
import { borderClass, isInside, NO_ROW } from './lib/rows.ts';

/**
 * Neighbour tables between the visible bricks and all of them. `crop` [all, 27] is the table of all bricks.
 * inward [all, 27]: the visible slots of each brick's neighbours. outward [visible, 27]: the neighbours, among all, of each visible brick.
 * A thread an entry of inward.
 */
export function crossTableKernel(): Kernel {
  return kernel({
    name: 'cross-table',
    reads: { crop: 'u32', slots: 'u32', cells: 'u32' },
    writes: { inward: 'u32', outward: 'u32' },
    uniforms: { count: 'u32', visible: 'u32' },
    code: elementwise(`
  let other = crop[i];
  let isOutside = other == ${NO_ROW};
  inward[i] = select(slots[select(other, 0u, isOutside)], ${NO_ROW}, isOutside);
  let slot = i / 27u;
  if (slot < u.visible) { outward[i] = crop[cells[slot] * 27u + i % 27u]; }`),
  });
}

/** y = x − token, a row at a time. */
export function shiftKernel(): Kernel {
  return kernel({
    name: 'shift',
    reads: { x: 'f32', token: 'f32' },
    writes: { y: 'f32' },
    uniforms: { count: 'u32', channels: 'u32' },
    code: elementwise('y[i] = x[i] - token[i % u.channels];'),
  });
}

/** y [27, N] = token · W[tap]. A thread an element. */
export function tokenTapsKernel(): Kernel {
  return kernel({
    name: 'token-taps',
    reads: { token: 'f32', weight: 'f32' },
    writes: { y: 'f32' },
    uniforms: { count: 'u32', inner: 'u32', columns: 'u32' },
    code: elementwise(`
  let first = (i / u.columns) * u.inner * u.columns + i % u.columns;
  var sum = 0.0;
  for (var k = 0u; k < u.inner; k++) { sum += token[k] * weight[first + k * u.columns]; }
  y[i] = sum;`),
  });
}

/** y [27 classes, N] = bias + Σ of `taps` [27, N] over the taps inside the crop: what a crop full of tokens gives. A thread an element. */
export function borderConstantsKernel(): Kernel {
  return kernel({
    name: 'border-constants',
    reads: { taps: 'f32', bias: 'f32' },
    writes: { y: 'f32' },
    uniforms: { count: 'u32', columns: 'u32' },
    code:
      isInside +
      elementwise(`
  let n = i % u.columns;
  var sum = bias[n];
  for (var tap = 0u; tap < 27u; tap++) {
    if (isInside(i / u.columns, tap)) { sum += taps[tap * u.columns + n]; }
  }
  y[i] = sum;`),
  });
}

/**
 * Sums of dy over the rows of each border class, cut into `chunks`: partials [chunks, 27 classes, N].
 * Thread (chunk, n) adds rows chunk, chunk + chunks, …
 */
export function borderPartialsKernel(): Kernel {
  return kernel({
    name: 'border-partials',
    reads: { dy: 'f32', crop: 'u32' },
    writes: { partials: 'f32' },
    uniforms: { count: 'u32', rows: 'u32', columns: 'u32', chunks: 'u32', edgeLog2: 'u32' },
    code:
      borderClass +
      elementwise(`
  let n = i % u.columns;
  let chunk = i / u.columns;
  var sums = array<f32, 27>();
  var inside = 0.0; // most rows are
  for (var row = chunk; row < u.rows; row += u.chunks) {
    let value = dy[row * u.columns + n];
    let border = borderClass(row);
    if (border == 13u) { inside += value; } else { sums[border] += value; }
  }
  sums[13] = inside;
  for (var border = 0u; border < 27u; border++) { partials[(chunk * 27u + border) * u.columns + n] = sums[border]; }`),
  });
}

/**
 * y [27, N], row 26 − tap: dy summed over the rows whose tap is inside the crop, from its sums over border classes; mirrored because the
 * weight gradient gathers dy. The centre tap is inside everywhere: dBias. A thread an element.
 */
export function tapSumsKernel(): Kernel {
  return kernel({
    name: 'tap-sums',
    reads: { classes: 'f32' },
    writes: { y: 'f32', dBias: 'f32' },
    uniforms: { count: 'u32', columns: 'u32' },
    code:
      isInside +
      elementwise(`
  let n = i % u.columns;
  let tap = 26u - i / u.columns;
  var sum = 0.0;
  for (var border = 0u; border < 27u; border++) {
    if (isInside(border, tap)) { sum += classes[border * u.columns + n]; }
  }
  y[i] = sum;
  if (tap == 13u) { dBias[n] = sum; }`),
  });
}

/** y [27, K] = W[tap] · tapSums[26 − tap]. A thread an element. */
export function tokenTapsGradientKernel(): Kernel {
  return kernel({
    name: 'token-taps-gradient',
    reads: { weight: 'f32', tapSums: 'f32' },
    writes: { y: 'f32' },
    uniforms: { count: 'u32', inner: 'u32', columns: 'u32' },
    code: elementwise(`
  let first = (26u - i / u.inner) * u.columns;
  var sum = 0.0;
  for (var n = 0u; n < u.columns; n++) { sum += weight[i * u.columns + n] * tapSums[first + n]; }
  y[i] = sum;`),
  });
}

/** dToken [K] = Σ of `taps` [27, K] − visible: what falls on hidden rows. A thread an element. */
export function tokenGradientKernel(): Kernel {
  return kernel({
    name: 'token-gradient',
    reads: { taps: 'f32', visible: 'f32' },
    writes: { dToken: 'f32' },
    uniforms: { count: 'u32' },
    code: elementwise(`
  var sum = 0.0;
  for (var tap = 0u; tap < 27u; tap++) { sum += taps[tap * u.count + i]; }
  dToken[i] = sum - visible[i];`),
  });
}

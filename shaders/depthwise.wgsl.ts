/**
 * Depthwise 3³ convolution over bricks: each channel by itself, weights [27, C]. A thread owns a strip of `length` voxels along z of one
 * channel: for each (dx, dy) it loads length + 2 values and 3 weights, which serve all three dz taps of all its voxels.
 */

import { elementwise, type Kernel, kernel } from './lib/kernel.ts';
import { NO_ROW, rowOf } from './lib/rows.ts';

const range = (n: number) => Array.from({ length: n }, (_, i) => i);

/** WGSL: values v0 .. v(length + 1) of `x` around the strip at `row`, for tap group `tap` (its dz = −1); zero where no brick is. */
function stripOf(length: number): string {
  const own = range(length).map(
    (i) => `let v${i + 1} = select(x[(select(own, 0u, own == ${NO_ROW}) + ${i}u) * width + c], 0.0, own == ${NO_ROW});`,
  );
  return `
    let before = rowOf(row, tap); let own = rowOf(row, tap + 1u); let after = rowOf(row + ${length - 1}u, tap + 2u);
    let v0 = select(x[select(before, 0u, before == ${NO_ROW}) * width + c], 0.0, before == ${NO_ROW});
    ${own.join(' ')}
    let v${length + 1} = select(x[select(after, 0u, after == ${NO_ROW}) * width + c], 0.0, after == ${NO_ROW});`;
}

/**
 * y = bias + Σ x[neighbour] · weight. `count` strips × channels. The taps of a `gradient` run backwards, and instead of a bias it adds
 * `residual`, of y's shape, where there is one.
 */
export function depthwiseKernel(length: number, gradient?: { readonly residual: boolean }): Kernel {
  const mirror = gradient !== undefined;
  const first = (i: number) =>
    gradient?.residual ? `residual[(row + ${i}u) * width + c]` : mirror ? '0.0' : 'bias[c]';
  const weight = (d: number) => `weight[(${mirror ? `26u - tap - ${d}u` : `tap + ${d}u`}) * width + c]`;
  return kernel({
    name: 'depthwise',
    variant: { mirror, length, residual: gradient?.residual ?? false },
    reads: {
      x: 'f32',
      weight: 'f32',
      neighbours: 'u32',
      ...(mirror ? {} : { bias: 'f32' as const }),
      ...(gradient?.residual ? { residual: 'f32' as const } : {}),
    },
    writes: { y: 'f32' },
    uniforms: { count: 'u32', channels: 'u32', edgeLog2: 'u32' },
    code:
      rowOf('neighbours') +
      elementwise(`
  let width = u.channels;
  let row = (i / width) * ${length}u;
  let c = i % width;
  ${range(length)
    .map((i) => `var sum${i} = ${first(i)};`)
    .join(' ')}
  for (var tap = 0u; tap < 27u; tap += 3u) {
    ${stripOf(length)}
    let w0 = ${weight(0)}; let w1 = ${weight(1)}; let w2 = ${weight(2)};
    ${range(length)
      .map((i) => `sum${i} += v${i} * w0 + v${i + 1} * w1 + v${i + 2} * w2;`)
      .join(' ')}
  }
  ${range(length)
    .map((i) => `y[(row + ${i}u) * width + c] = sum${i};`)
    .join(' ')}`),
  });
}

/**
 * dWeight's sum over voxels: `partials` [chunks, 27 · C]. Thread (chunk, (dx, dy), channel) walks strips chunk, chunk + chunks, … and sums
 * its three dz taps; the threads of the first (dx, dy) sum dy too, into `biasPartials` [chunks, C].
 */
export function depthwiseWeightKernel(length: number): Kernel {
  return kernel({
    name: 'depthwise-weight',
    variant: { length },
    reads: { x: 'f32', dy: 'f32', neighbours: 'u32' },
    writes: { partials: 'f32', biasPartials: 'f32' },
    uniforms: { count: 'u32', strips: 'u32', chunks: 'u32', channels: 'u32', edgeLog2: 'u32' },
    code:
      rowOf('neighbours') +
      elementwise(`
  let width = u.channels;
  let c = i % width;
  let tap = (i / width % 9u) * 3u;
  let chunk = i / (9u * width);
  var sum0 = 0.0; var sum1 = 0.0; var sum2 = 0.0; var bias = 0.0;
  for (var strip = chunk; strip < u.strips; strip += u.chunks) {
    let row = strip * ${length}u;
    ${stripOf(length)}
    ${range(length)
      .map((i) => `let d${i} = dy[(row + ${i}u) * width + c];`)
      .join(' ')}
    ${range(3)
      .map(
        (t) =>
          `sum${t} += ${range(length)
            .map((i) => `v${i + t} * d${i}`)
            .join(' + ')};`,
      )
      .join(' ')}
    bias += ${range(length)
      .map((i) => `d${i}`)
      .join(' + ')};
  }
  if (tap == 0u) { biasPartials[chunk * width + c] = bias; }
  let out = (chunk * 27u + tap) * width + c;
  partials[out] = sum0; partials[out + width] = sum1; partials[out + 2u * width] = sum2;`),
  });
}

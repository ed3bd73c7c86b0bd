/**
 * Depthwise 3³ convolution over bricks: each channel by itself, weights [27, C]. A thread a (voxel, channel): 27 reads of the input
 * and 27 of the weights, most of them from cache.
 */

import type { ColumnTerms } from './column-sums.wgsl.ts';
import { elementwise, type Kernel, kernel } from './lib/kernel.ts';
import { NO_ROW, rowOf } from './lib/rows.ts';

/** y = bias + Σ x[neighbour] · weight; with `mirror` the taps run backwards, which is the input's gradient (and no bias). */
export function depthwiseKernel(mirror: boolean): Kernel {
  return kernel({
    name: 'depthwise',
    variant: { mirror },
    reads: {
      x: 'f32',
      weight: 'f32',
      neighbours: 'u32',
      ...(mirror ? ({} as { bias: 'f32' }) : { bias: 'f32' as const }),
    },
    writes: { y: 'f32' },
    uniforms: { count: 'u32', channels: 'u32', edgeLog2: 'u32' },
    code:
      rowOf('neighbours') +
      elementwise(`
  let row = i / u.channels;
  let channel = i % u.channels;
  var sum = ${mirror ? '0.0' : 'bias[channel]'};
  for (var tap = 0u; tap < 27u; tap++) {
    let source = rowOf(row, tap);
    if (source != ${NO_ROW}) { sum += x[source * u.channels + channel] * weight[${mirror ? '(26u - tap)' : 'tap'} * u.channels + channel]; }
  }
  y[i] = sum;`),
  });
}

/**
 * dWeight [27, C] as column sums of a [voxels, 27 · C] matrix that is never stored: its element (voxel, tap, channel) is
 * x[neighbour] · dy. `channels` is 27 · C there, `width` is C.
 */
export function depthwiseWeightTerms(): ColumnTerms {
  return {
    name: 'depthwise-weight',
    reads: { x: 'f32', dy: 'f32', neighbours: 'u32' },
    uniforms: { edgeLog2: 'u32', width: 'u32' },
    library: rowOf('neighbours'),
    prelude: `
    let source = rowOf(row, channel / u.width);
    let c = channel % u.width;
    let value = select(x[select(source, 0u, source == ${NO_ROW}) * u.width + c], 0.0, source == ${NO_ROW});`,
    terms: ['value * dy[row * u.width + c]'],
  };
}

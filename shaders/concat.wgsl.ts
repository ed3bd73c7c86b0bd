/**
 * Channels of two matrices side by side, and apart again. A thread stays with one channel and walks the rows, `count` elements apart: no
 * element costs an integer division, which CPUs do a lane at a time.
 */

import { elementwise, type Kernel, kernel } from './lib/kernel.ts';

const walk = { count: 'u32', rows: 'u32', channels: 'u32' } as const;

/** y[row] = [a[row], b[row]]; channels of y. */
export function concatKernel(): Kernel {
  return kernel({
    name: 'concat',
    reads: { a: 'f32', b: 'f32' },
    writes: { y: 'f32' },
    uniforms: { ...walk, channelsA: 'u32' },
    code: elementwise(`
  let channel = i % u.channels;
  let channelsB = u.channels - u.channelsA;
  let end = u.rows * u.channels;
  let step = u.count / u.channels;
  var row = i / u.channels;
  if (channel < u.channelsA) {
    for (var at = i; at < end; at += u.count) { y[at] = a[row * u.channelsA + channel]; row += step; }
  } else {
    for (var at = i; at < end; at += u.count) { y[at] = b[row * channelsB + channel - u.channelsA]; row += step; }
  }`),
  });
}

/** y = channels first … first + channels of x, which has `wide` of them. */
export function channelSliceKernel(): Kernel {
  return kernel({
    name: 'channel-slice',
    reads: { x: 'f32' },
    writes: { y: 'f32' },
    uniforms: { ...walk, wide: 'u32', first: 'u32' },
    code: elementwise(`
  let end = u.rows * u.channels;
  let step = (u.count / u.channels) * u.wide;
  var place = (i / u.channels) * u.wide + u.first + i % u.channels;
  for (var at = i; at < end; at += u.count) { y[at] = x[place]; place += step; }`),
  });
}

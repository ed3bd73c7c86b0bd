/** Channels of two matrices side by side, and apart again: a thread an element, one read and one write. */

import { elementwise, type Kernel, kernel } from './lib/kernel.ts';

/** y[row] = [a[row], b[row]] */
export function concatKernel(): Kernel {
  return kernel({
    name: 'concat',
    reads: { a: 'f32', b: 'f32' },
    writes: { y: 'f32' },
    uniforms: { count: 'u32', channelsA: 'u32', channelsB: 'u32' },
    code: elementwise(`
  let channels = u.channelsA + u.channelsB;
  let row = i / channels;
  let channel = i % channels;
  if (channel < u.channelsA) { y[i] = a[row * u.channelsA + channel]; }
  else { y[i] = b[row * u.channelsB + channel - u.channelsA]; }`),
  });
}

/** y = channels first .. first + taken of x. */
export function channelSliceKernel(): Kernel {
  return kernel({
    name: 'channel-slice',
    reads: { x: 'f32' },
    writes: { y: 'f32' },
    uniforms: { count: 'u32', channels: 'u32', first: 'u32', taken: 'u32' },
    code: elementwise('y[i] = x[(i / u.taken) * u.channels + u.first + i % u.taken];'),
  });
}

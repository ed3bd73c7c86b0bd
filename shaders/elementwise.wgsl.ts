/**
 * Kernels with one thread an element: no workgroup memory, no features, one or two reads and one write an element.
 * Launch: `count` threads, folded (`foldWorkgroups`).
 */

import { elementwise, type Kernel, kernel } from './lib/kernel.ts';

const count = { count: 'u32' } as const;

/** y = value */
export function fillKernel(): Kernel {
  const code = elementwise('y[i] = u.value;');
  return kernel({ name: 'fill', writes: { y: 'f32' }, uniforms: { ...count, value: 'f32' }, code });
}

/** y = a + b */
export function addKernel(): Kernel {
  const code = elementwise('y[i] = a[i] + b[i];');
  return kernel({ name: 'add', reads: { a: 'f32', b: 'f32' }, writes: { y: 'f32' }, uniforms: count, code });
}

/** y = factor · x */
export function scaleKernel(): Kernel {
  const code = elementwise('y[i] = u.factor * x[i];');
  return kernel({
    name: 'scale',
    reads: { x: 'f32' },
    writes: { y: 'f32' },
    uniforms: { ...count, factor: 'f32' },
    code,
  });
}

/** y = factor · x[0], everywhere */
export function broadcastKernel(): Kernel {
  const code = elementwise('y[i] = u.factor * x[0];');
  return kernel({
    name: 'broadcast',
    reads: { x: 'f32' },
    writes: { y: 'f32' },
    uniforms: { ...count, factor: 'f32' },
    code,
  });
}

/** Activation functions and their slopes, one thread an element: one read and one write forward, two reads backward. */

import { elementwise, type Kernel, kernel } from './lib/kernel.ts';
import { gelu } from './lib/math.ts';

export type Activation = 'gelu' | 'relu' | 'leakyRelu';

/** WGSL expressions of value and slope at `v`. Leaky ReLU's slope below zero is 0.01. */
export const ACTIVATIONS: Record<Activation, { library: string; value: string; slope: string }> = {
  gelu: { library: gelu, value: 'gelu(v)', slope: 'geluSlope(v)' },
  relu: { library: '', value: 'max(v, 0.0)', slope: 'select(0.0, 1.0, v > 0.0)' },
  leakyRelu: { library: '', value: 'select(0.01 * v, v, v > 0.0)', slope: 'select(0.01, 1.0, v > 0.0)' },
};

/** y = f(x) */
export function activationKernel(activation: Activation): Kernel {
  const { library, value } = ACTIVATIONS[activation];
  const code = library + elementwise(`let v = x[i]; y[i] = ${value};`);
  return kernel({
    name: 'activation',
    variant: { activation },
    reads: { x: 'f32' },
    writes: { y: 'f32' },
    uniforms: { count: 'u32' },
    code,
  });
}

/** dx = dy · f'(x) */
export function activationGradientKernel(activation: Activation): Kernel {
  const { library, slope } = ACTIVATIONS[activation];
  const code = library + elementwise(`let v = x[i]; dx[i] = dy[i] * ${slope};`);
  const reads = { x: 'f32', dy: 'f32' } as const;
  return kernel({
    name: 'activation-gradient',
    variant: { activation },
    reads,
    writes: { dx: 'f32' },
    uniforms: { count: 'u32' },
    code,
  });
}

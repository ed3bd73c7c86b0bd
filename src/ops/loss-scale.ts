/**
 * Loss scaling for mixed precision (Micikevicius et al., ICLR 2018, arXiv 1710.03740): gradients of feature maps, which are stored as f16, are computed
 * times a scale that keeps them above f16's smallest numbers. The scale is a state on the GPU: `gradientNorm` takes it away again,
 * halves it in a step whose gradients overflowed, which `adamw` then leaves out, and doubles it after a number of good steps. A step that is left
 * out still counts in the schedule and in AdamW's bias corrections.
 */

import type { Tensor } from '../tape/tensor.ts';
import type { Variables } from '../tape/variables.ts';

/** As PyTorch's GradScaler begins. A power of two, as all scales are: to multiply by one and divide again changes no bit. */
export const FIRST_LOSS_SCALE = 2 ** 16;
/** Good steps before the scale is doubled; PyTorch's 2000 is longer than most runs here. */
export const GROWTH_INTERVAL = 200;
/** Ends growth where gradients are so small that no scale makes them overflow. */
export const MOST_LOSS_SCALE = 2 ** 24;

/** A loss scale and the good steps since it last changed. */
export type LossScale = readonly [scale: number, goodSteps: number];

/** Declares the state [2], for `Tape.backward` and `gradientNorm`. Its memory begins as zeros: write a `LossScale`. */
export function declareLossScale(variables: Variables): Tensor {
  return variables.state('lossScale', [2]);
}

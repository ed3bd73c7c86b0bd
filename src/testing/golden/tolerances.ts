/** What golden/README.md suggests under "Tolerances", last column; the same on every adapter. */

/** Sizes of network that the golden data tells apart. */
export type Scale = 'tiny' | 'mid' | 'base';

interface PretrainTolerances {
  /** Largest difference / largest magnitude of the tensor. */
  readonly activations: number;
  /** Relative difference of L2 norms. */
  readonly activationNorms: number;
  /** Relative. */
  readonly loss: number;
  /** Largest difference / largest magnitude, weights whose ReLU inputs stay away from zero. */
  readonly smoothGradients: number;
  readonly smoothGradientNorms: number;
  /** L2 norm of the difference / L2 norm; in `base` largest difference / largest magnitude. */
  readonly plainGradients: number;
  readonly plainGradientNorms: number;
}

export const PRETRAIN: Readonly<Record<Scale, PretrainTolerances>> = {
  tiny: {
    activations: 1e-4,
    activationNorms: 1e-4,
    loss: 1e-5,
    smoothGradients: 3e-4,
    smoothGradientNorms: 3e-4,
    plainGradients: 3e-2,
    plainGradientNorms: 3e-2,
  },
  mid: {
    activations: 3e-4,
    activationNorms: 3e-4,
    loss: 1e-5,
    smoothGradients: 1e-3,
    smoothGradientNorms: 1e-3,
    plainGradients: 5e-2,
    plainGradientNorms: 5e-2,
  },
  base: {
    activations: 1e-4,
    activationNorms: 1e-5,
    loss: 1e-5,
    smoothGradients: 2e-3,
    smoothGradientNorms: 2e-3,
    plainGradients: 1e-1,
    plainGradientNorms: 3e-2,
  },
};

/** Running statistics after one pass: largest difference / largest magnitude. */
export const RUNNING_STATISTICS = 1e-5;

/** Share of the largest gradient that a gradient which is zero in exact arithmetic may reach. */
export const CANCELLING = 1e-5;

/** AdamW steps. Smooth: from the first step on; plain: [step 1, later]. */
export const STEPS = {
  smooth: { losses: [2e-5, 2e-5], norms: [2e-5, 2e-5], parameters: [1e-4, 1e-4], runningMeans: [1e-5, 5e-2] },
  // The README gives no row for plain gradient norms: those of the gradients, then those of the parameters.
  plain: { losses: [1e-5, 5e-3], norms: [3e-2, 3e-1], parameters: [5e-2, 3e-1], runningMeans: [1e-5, 3e-1] },
} as const;

/** Parameters that nothing reads keep the formula's values, but for the rounding of sums. */
export const NEVER_MOVED = 1e-6;

export const ADAMW = 2e-6;
export const SCHEDULE = 1e-9;

/** A tensor: a shape, an element type and what its memory is for. It holds no data; a plan gives it a place. */

import { HysparkError } from '../errors.ts';

export type Shape = readonly number[];
export type DType = 'f32' | 'u32';
/** How elements lie in memory. Arithmetic is in the element type: `f16` is what a mixed tape's feature maps are rounded to. */
export type Storage = DType | 'f16';
/**
 * `mixed` stores feature maps and their gradients as f16. Everything else stays f32: arithmetic, sums and statistics, losses, inputs, parameters,
 * their gradients and moments. Needs the feature `shader-f16`.
 */
export type Precision = 'float32' | 'mixed';

/**
 * What a tensor's memory is for:
 * `activation` lives from its first writer to its last reader; `input` is uploaded each step;
 * `parameter`, `gradient` and `state` (running statistics, moments, constants) outlive a plan and belong to a `Variables`.
 */
export type TensorKind = 'activation' | 'input' | 'parameter' | 'gradient' | 'state';

let created = 0;

export class Tensor {
  readonly id = created++;
  /**
   * The tensor whose memory this one shares: a gradient's place beside its parameter, the parameter of a `constant`, the pool of partial
   * sums that are added up together.
   */
  home: Tensor | undefined;
  /** Bytes from the start of `home`. */
  homeOffset = 0;

  constructor(
    readonly name: string,
    readonly shape: Shape,
    readonly dtype: DType,
    readonly kind: TensorKind,
    /** True for parameters and for everything computed from them. */
    readonly requiresGrad: boolean,
    /** A plan may compute it again for the backward pass instead of keeping it (`Tape.recomputable`). */
    public recomputable = false,
    readonly storage: Storage = dtype,
  ) {
    if (shape.some((n) => !Number.isInteger(n) || n < 1)) {
      throw new HysparkError('bad-shape', { doing: `Tensor "${name}"`, got: shapeText(shape), need: 'positive sizes' });
    }
  }

  /** Number of elements. */
  get size(): number {
    return sizeOf(this.shape);
  }

  /** Whole words: what a buffer's ranges are measured in. */
  get bytes(): number {
    return this.storage === 'f16' ? Math.ceil(this.size / 2) * 4 : this.size * 4;
  }

  /** Size of the last axis: channels, which are contiguous. */
  get channels(): number {
    return this.shape[this.shape.length - 1] ?? 1;
  }

  /** A parameter's values without a gradient. */
  constant(): Tensor {
    const tensor = new Tensor(this.name, this.shape, this.dtype, this.kind, false);
    tensor.home = this;
    return tensor;
  }

  /** Product of all axes but the last. */
  get rows(): number {
    return this.size / this.channels;
  }
}

export function sizeOf(shape: Shape): number {
  return shape.reduce((a, b) => a * b, 1);
}

export function shapeText(shape: Shape): string {
  return `[${shape.join(', ')}]`;
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((n, i) => n === b[i]);
}

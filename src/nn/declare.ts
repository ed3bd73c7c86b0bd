/** Declaring a model's parameters once, for as many tapes as use them: each with its shape and how it starts. */

import type { Shape, Tensor } from '../tape/tensor.ts';
import { sizeOf } from '../tape/tensor.ts';
import type { Variables } from '../tape/variables.ts';
import { type Initialiser, initialValues } from './initialisers.ts';

/** How a parameter's axes relate to PyTorch's; the conversion itself is the checkpoint's. */
export type ParameterLayout =
  | 'vector' // [C]
  | 'linear' // [in, out]
  | 'conv3' // [27, in, out]
  | 'depthwise' // [27, C]
  | 'transposed'; // [in, 8, out]

export interface ParameterSpec {
  readonly name: string;
  readonly shape: Shape;
  readonly layout: ParameterLayout;
  readonly initialiser: Initialiser;
  /** Absent for parameters that nothing reads: they exist in checkpoints only, never on the GPU. */
  readonly tensor?: Tensor;
  /** What the tensor is: trained, or a running statistic. */
  readonly role: 'parameter' | 'state';
}

export class Declarations {
  readonly specs = new Map<string, ParameterSpec>();

  /** @param variables where tensors get their memory; without it nothing is put on a GPU (shapes and checkpoints only). */
  constructor(readonly variables: Variables) {}

  parameter(name: string, shape: Shape, layout: ParameterLayout, initialiser: Initialiser): Tensor {
    const tensor = this.variables.parameter(name, shape);
    this.specs.set(name, { name, shape, layout, initialiser, tensor, role: 'parameter' });
    return tensor;
  }

  state(name: string, shape: Shape, initialiser: Initialiser): Tensor {
    const tensor = this.variables.state(name, shape);
    this.specs.set(name, { name, shape, layout: 'vector', initialiser, tensor, role: 'state' });
    return tensor;
  }

  /** A parameter of the reference that nothing reads. */
  unused(
    name: string,
    shape: Shape,
    layout: ParameterLayout,
    initialiser: Initialiser,
    role: ParameterSpec['role'] = 'parameter',
  ): void {
    this.specs.set(name, { name, shape, layout, initialiser, role });
  }

  /** Writes every tensor's initial values, which follow from the seed and the parameter's name alone. */
  initialise(seed: number): void {
    for (const spec of this.specs.values()) {
      if (spec.tensor)
        this.variables.write(spec.tensor, initialValues(spec.initialiser, seed, spec.name, sizeOf(spec.shape)));
    }
  }
}

/**
 * The tape: calling an op records what it would launch; `backward` walks the record in reverse and records each op's
 * gradient. Nothing runs until a plan is compiled from it.
 */

import { addKernel, fillKernel } from '../../shaders/elementwise.wgsl.ts';
import type { Kernel } from '../../shaders/lib/kernel.ts';
import { WORKGROUP } from '../../shaders/lib/kernel.ts';
import { HysparkError } from '../errors.ts';
import {
  foldWorkgroups,
  type Inputs,
  type Launch,
  type OpDefinition,
  PLAIN_TARGET,
  type Recorder,
  type Target,
} from './op.ts';
import { type DType, type Shape, sameShape, shapeText, Tensor } from './tensor.ts';

/** One recorded kernel launch. */
export interface Dispatch {
  readonly kernel: Kernel;
  /** A tensor for each of the kernel's bindings, in their order. */
  readonly tensors: readonly Tensor[];
  readonly launch: Launch;
  /** Scopes and op, e.g. `stage1/block0/linear`, with a `d` in front of the op in the backward pass. */
  readonly label: string;
  readonly backward: boolean;
}

interface OpRecord {
  readonly definition: OpDefinition<Inputs, unknown, unknown>;
  readonly inputs: Inputs;
  readonly attributes: unknown;
  readonly output: Tensor;
  readonly saved: unknown;
  readonly scope: string;
}

export class Tape implements Recorder {
  readonly dispatches: Dispatch[] = [];
  readonly inputs: Tensor[] = [];
  readonly outputs: Tensor[] = [];
  readonly reports: Tensor[] = [];
  private readonly records: OpRecord[] = [];
  private path = '';
  private opName = '';
  private recomputing = false;
  private inBackward = false;

  /** @param target the adapter that kernels are chosen for: a device's `report`. Without it the plain kernels are recorded. */
  constructor(readonly target: Target = PLAIN_TARGET) {}

  /** A tensor uploaded before each step. */
  input(name: string, shape: Shape, dtype: DType = 'f32'): Tensor {
    const tensor = new Tensor(name, shape, dtype, 'input', false);
    this.inputs.push(tensor);
    return tensor;
  }

  /** Keeps a tensor's memory to the end of the step, so that the host can read it. */
  output(tensor: Tensor): Tensor {
    if (!this.outputs.includes(tensor)) this.outputs.push(tensor);
    return tensor;
  }

  /** As `output`, and its values come back after every step: for the loss and other small tensors. */
  report(tensor: Tensor): Tensor {
    this.reports.push(this.output(tensor));
    return tensor;
  }

  /** Runs `build` with `name` in front of the labels of what it records. */
  scope<T>(name: string, build: () => T): T {
    const outer = this.path;
    this.path = `${outer}${name}/`;
    try {
      return build();
    } finally {
      this.path = outer;
    }
  }

  /**
   * Marks what `build` computes, except its result, as recomputable: a plan may drop it after the forward pass and compute
   * it again from what is kept.
   */
  recomputable(build: () => Tensor): Tensor {
    const outer = this.recomputing;
    this.recomputing = true;
    try {
      const result = build();
      result.recomputable = outer;
      return result;
    } finally {
      this.recomputing = outer;
    }
  }

  /** Records an op: checks its inputs, then runs its forward rule. Called by what `defineOp` returns. */
  record<I extends Inputs, A, S>(definition: OpDefinition<I, A, S>, inputs: I, attributes: A): Tensor {
    const shape = definition.infer(inputs, attributes);
    const requiresGrad = Object.values(inputs).some((t) => t?.requiresGrad);
    this.opName = definition.name;
    const label = `${this.path}${definition.name}`;
    const output = new Tensor(label, shape, 'f32', 'activation', requiresGrad, this.recomputing);
    const saved = definition.forward(this, inputs, attributes, output);
    this.records.push({ definition, inputs, attributes, output, saved, scope: this.path } as OpRecord);
    return output;
  }

  tensor(name: string, shape: Shape, dtype: DType = 'f32'): Tensor {
    return new Tensor(`${this.path}${this.opName}.${name}`, shape, dtype, 'activation', false, this.recomputing);
  }

  dispatch(kernel: Kernel, bind: Inputs, launch: Launch): void {
    const tensors = kernel.bindings.map(({ name }) => bind[name] as Tensor);
    const missing = kernel.bindings.find((_, i) => !tensors[i])?.name;
    const field = Object.keys(kernel.uniforms).find((name) => !Number.isFinite(launch.uniforms?.[name]));
    if (missing ?? field) {
      throw new HysparkError('bad-argument', {
        doing: `Recording ${kernel.id}`,
        got: `no value for "${missing ?? field}"`,
      });
    }
    const label = `${this.path}${this.inBackward ? 'd' : ''}${this.opName}`;
    this.dispatches.push({ kernel, tensors, launch, label, backward: this.inBackward });
  }

  /**
   * Records the gradients of a scalar loss for every parameter that it depends on.
   * @param scale multiplies the loss's gradient, e.g. 1/n when n micro-batches are accumulated.
   * @returns each parameter with its gradient; parameters that own a gradient buffer get it written there.
   */
  backward(loss: Tensor, scale = 1): Map<Tensor, Tensor> {
    if (loss.size !== 1) {
      throw new HysparkError('bad-shape', {
        doing: 'backward: argument "loss"',
        got: shapeText(loss.shape),
        need: 'one element',
      });
    }
    this.inBackward = true;
    this.opName = 'loss';
    const seed = this.tensor('gradient', loss.shape);
    this.dispatch(fillKernel(), { y: seed }, { uniforms: { count: 1, value: scale }, workgroups: [1, 1, 1] });
    const gradients = new Map<Tensor, Tensor>([[loss, seed]]);
    const parameters = new Map<Tensor, Tensor>();
    for (const record of [...this.records].reverse()) {
      const dy = gradients.get(record.output);
      if (!dy || !record.output.requiresGrad) continue;
      const { definition, inputs } = record;
      if (typeof definition.backward !== 'function') {
        throw new HysparkError('not-differentiable', {
          doing: `backward through ${definition.name}`,
          got: definition.backward.reason,
        });
      }
      this.path = record.scope;
      this.opName = definition.name;
      const needs = (name: string) => inputs[name]?.requiresGrad ?? false;
      const found = definition.backward(this, { ...record, dy, needs });
      for (const [name, gradient] of Object.entries(found)) {
        const input = inputs[name];
        if (!gradient || !input?.requiresGrad) continue;
        if (!sameShape(gradient.shape, input.shape)) {
          const doing = `backward of ${definition.name}: gradient of "${name}"`;
          throw new HysparkError('bad-shape', { doing, got: shapeText(gradient.shape), need: shapeText(input.shape) });
        }
        const before = gradients.get(input);
        const total = before ? this.add(before, gradient) : gradient;
        gradients.set(input, total);
        if (input.kind === 'parameter') parameters.set(input, total);
      }
    }
    this.inBackward = false;
    this.path = '';
    return parameters;
  }

  private add(a: Tensor, b: Tensor): Tensor {
    const y = this.tensor('gradientSum', a.shape);
    const launch = { uniforms: { count: y.size }, workgroups: foldWorkgroups(y.size, WORKGROUP) };
    this.dispatch(addKernel(), { a, b, y }, launch);
    return y;
  }
}

/**
 * The tape: calling an op records what it would launch; `backward` walks the record in reverse and records each op's
 * gradient. Nothing runs until a plan is compiled from it.
 */

import { addKernel, broadcastKernel, fillKernel, scaleKernel } from '../../shaders/elementwise.wgsl.ts';
import { halfStored } from '../../shaders/lib/half.ts';
import type { Kernel } from '../../shaders/lib/kernel.ts';
import { HysparkError } from '../errors.ts';
import {
  elementWorkgroups,
  type Inputs,
  type Launch,
  type OpDefinition,
  type PartialSums,
  PLAIN_TARGET,
  type Recorder,
  type Target,
  type Workgroups,
} from './op.ts';
import { type DType, type Precision, type Shape, sameShape, shapeText, Tensor } from './tensor.ts';

/** One recorded kernel launch. */
export interface Dispatch {
  /** The one for how its tensors are stored. */
  readonly kernel: Kernel;
  /** A tensor for each of the kernel's bindings, in their order. */
  readonly tensors: readonly Tensor[];
  readonly launch: Launch & { readonly workgroups: Workgroups };
  /** Scopes and op, e.g. `stage1/block0/linear`, with a `d` in front of the op in the backward pass. */
  readonly label: string;
  readonly backward: boolean;
}

/** Bytes of partial sums that are kept until the end of the backward pass: a launch saved is not worth more memory. */
const MOST_PUT_OFF = 1024 * 1024;

/** The variant of a kernel for how the tensors that it is bound to are stored. */
export function storedKernel(kernel: Kernel, bind: Inputs): Kernel {
  const half = kernel.bindings.filter(({ name }) => bind[name]?.storage === 'f16').map(({ name }) => name);
  return halfStored(kernel, half);
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
  /** Inputs that never change, with their values. */
  readonly constants = new Map<Tensor, Uint32Array>();
  private readonly unsettled = new Map<Tensor, PartialSums & { readonly record: () => void }>();
  private readonly records: OpRecord[] = [];
  private path = '';
  private opName = '';
  private recomputing = false;
  private inBackward = false;

  /**
   * @param target the adapter that kernels are chosen for: a device's `report`. Without it the plain kernels are recorded.
   * @param precision `mixed` stores the results of ops, and gradients with respect to them, as f16 unless the op says `full`.
   */
  constructor(
    readonly target: Target = PLAIN_TARGET,
    readonly precision: Precision = 'float32',
  ) {}

  /** A tensor uploaded before each step. */
  input(name: string, shape: Shape, dtype: DType = 'f32'): Tensor {
    const tensor = new Tensor(name, shape, dtype, 'input', false);
    this.inputs.push(tensor);
    return tensor;
  }

  /** Words that kernels read and that never change. */
  constant(name: string, values: Uint32Array): Tensor {
    const tensor = this.input(name, [values.length], 'u32');
    this.constants.set(tensor, values);
    return tensor;
  }

  /** Keeps a tensor's memory to the end of the step, so that the host can read it. */
  output(tensor: Tensor): Tensor {
    this.settle(tensor);
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
    const storage = this.precision === 'mixed' && !definition.full ? 'f16' : 'f32';
    const output = new Tensor(label, shape, 'f32', 'activation', requiresGrad, this.recomputing, storage);
    const saved = definition.forward(this, inputs, attributes, output);
    this.records.push({ definition, inputs, attributes, output, saved, scope: this.path } as OpRecord);
    return output;
  }

  /** The ops recorded so far, in order. */
  get ops(): readonly { readonly name: string; readonly inputs: Inputs }[] {
    return this.records.map(({ definition, inputs }) => ({ name: definition.name, inputs }));
  }

  tensor(name: string, shape: Shape, dtype: DType = 'f32'): Tensor {
    return new Tensor(`${this.path}${this.opName}.${name}`, shape, dtype, 'activation', false, this.recomputing);
  }

  addUp(total: Tensor, sums: PartialSums, record: () => void): void {
    // A GPU adds long lists up in trees.
    const isLong = this.target.class === 'gpu' && sums.splits > 64;
    if (!this.inBackward || isLong || sums.partials.bytes > MOST_PUT_OFF) {
      record();
      return;
    }
    const [path, opName, inBackward] = [this.path, this.opName, this.inBackward];
    const recordLater = () => {
      const now = [this.path, this.opName, this.inBackward] as const;
      [this.path, this.opName, this.inBackward] = [path, opName, inBackward];
      record();
      [this.path, this.opName, this.inBackward] = now;
    };
    this.unsettled.set(total, { ...sums, record: recordLater });
  }

  /** The partial sums of a total that no launch has read yet: whoever takes them adds them up. */
  takeSums(total: Tensor): PartialSums | undefined {
    const sums = this.unsettled.get(total);
    this.unsettled.delete(total);
    return sums;
  }

  /** Adds up what is about to be read. */
  private settle(tensor: Tensor): void {
    const sums = this.unsettled.get(tensor);
    this.unsettled.delete(tensor);
    sums?.record();
  }

  like(name: string, { shape: same, dtype, storage }: Tensor, shape = same): Tensor {
    const label = `${this.path}${this.opName}.${name}`;
    return new Tensor(label, shape, dtype, 'activation', false, this.recomputing, storage);
  }

  dispatch(kernel: Kernel, bind: Inputs, launch: Launch): void {
    const tensors = kernel.bindings.map(({ name }) => bind[name] as Tensor);
    const missing = kernel.bindings.find((_, i) => !tensors[i])?.name;
    const field = Object.keys(kernel.uniforms).find(
      (name) => name !== kernel.sliced?.first && !Number.isFinite(launch.uniforms?.[name]),
    );
    if (missing ?? field) {
      throw new HysparkError('bad-argument', {
        doing: `Recording ${kernel.id}`,
        got: `no value for "${missing ?? field}"`,
      });
    }
    kernel.bindings.forEach(({ access }, i) => {
      if (access !== 'write') this.settle(tensors[i]!);
    });
    const label = `${this.path}${this.inBackward ? 'd' : ''}${this.opName}`;
    const workgroups = launch.workgroups ?? elementWorkgroups(this.target, launch.uniforms?.count ?? 0);
    const stored = storedKernel(kernel, bind);
    const { inBackward: backward } = this;
    this.dispatches.push({ kernel: stored, tensors, launch: { ...launch, workgroups }, label, backward });
  }

  /**
   * Records the gradients of a scalar loss for every parameter that it depends on.
   * @param scale multiplies the loss's gradient, e.g. 1/n when n micro-batches are accumulated.
   * @param lossScale [1 or more], its first element multiplies it too: a number known on the GPU only (`ops/loss-scale.ts`).
   * @returns each parameter with its gradient; parameters that own a gradient buffer get it written there.
   */
  backward(loss: Tensor, scale = 1, lossScale?: Tensor): Map<Tensor, Tensor> {
    if (loss.size !== 1) {
      throw new HysparkError('bad-shape', {
        doing: 'backward: argument "loss"',
        got: shapeText(loss.shape),
        need: 'one element',
      });
    }
    this.inBackward = true;
    this.opName = 'loss';
    const seed = this.like('gradient', loss);
    if (lossScale)
      this.dispatch(broadcastKernel(), { x: lossScale, y: seed }, { uniforms: { count: 1, factor: scale } });
    else this.dispatch(fillKernel(), { y: seed }, { uniforms: { count: 1, value: scale } });
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
      const gradientSoFar = (name: string) => {
        const input = inputs[name];
        const before = input && gradients.get(input);
        if (before) gradients.delete(input);
        return before;
      };
      const found = definition.backward(this, { ...record, dy, needs, gradientSoFar });
      for (const [name, gradient] of Object.entries(found)) {
        const input = inputs[name];
        if (!gradient || !input?.requiresGrad) continue;
        if (!sameShape(gradient.shape, input.shape)) {
          const doing = `backward of ${definition.name}: gradient of "${name}"`;
          throw new HysparkError('bad-shape', { doing, got: shapeText(gradient.shape), need: shapeText(input.shape) });
        }
        const before = gradients.get(input);
        const own = this.storedAs(input, gradient);
        const total = before ? this.add(before, own) : own;
        gradients.set(input, total);
        if (input.kind === 'parameter') parameters.set(input, total);
      }
    }
    this.inBackward = false;
    this.path = '';
    return parameters;
  }

  /** A gradient stored as its tensor is: an op may hand on the gradient of its result, whose storage is another. */
  private storedAs(tensor: Tensor, gradient: Tensor): Tensor {
    if (gradient.storage === tensor.storage) return gradient;
    const y = this.like('gradient', tensor);
    this.dispatch(scaleKernel(), { x: gradient, y }, { uniforms: { count: y.size, factor: 1 } });
    return y;
  }

  private add(a: Tensor, b: Tensor): Tensor {
    const y = this.like('gradientSum', a);
    this.dispatch(addKernel(), { a, b, y }, { uniforms: { count: y.size } });
    return y;
  }
}

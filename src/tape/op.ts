/** How an operation is written: shape rule, forward and backward side by side, each recording kernel dispatches. */

import type { Tunable } from '../../shaders/gemm/family.ts';
import type { SubgroupMatrix } from '../../shaders/gemm/matrix.wgsl.ts';
import { CPU_THREADS, type Kernel, WORKGROUP } from '../../shaders/lib/kernel.ts';
import { HysparkError } from '../errors.ts';
import type { AdapterReport } from '../gpu/adapter.ts';
import type { Tape } from './tape.ts';
import { type DType, type Shape, sameShape, shapeText, type Tensor } from './tensor.ts';

export type Inputs = Readonly<Record<string, Tensor | undefined>>;
export type Workgroups = readonly [number, number, number];

/** What the choice of a kernel may depend on; never a global. `plain` asks for the plain kernels on any adapter. */
export interface Target {
  readonly class: AdapterReport['class'] | 'plain';
  readonly subgroupSize: number;
  /** Threads of an elementwise kernel at the most, instead of what its class is given: tests make few walk many elements. */
  readonly mostThreads?: number;
  /** What was measured to be fastest on this adapter; what is not in it has the table's default. */
  readonly tuning?: Tuning;
  /** Shapes of matrices that the adapter multiplies in hardware; empty unless they were asked for. */
  readonly matrices?: readonly SubgroupMatrix[];
  /** How many threads a workgroup may have, and how large a binding may be; left out, WebGPU's defaults. */
  readonly limits?: Partial<
    Pick<
      AdapterReport['limits'],
      'maxComputeInvocationsPerWorkgroup' | 'maxComputeWorkgroupSizeX' | 'maxStorageBufferBindingSize'
    >
  >;
}

/** Names of chosen kernels by what they do (`keyOf` in `ops/gemm-choice.ts`): plain data, kept with a run. */
export type Tuning = Readonly<Record<string, string>>;

export const PLAIN_TARGET: Target = { class: 'plain', subgroupSize: 0 };

/** What an op's rules use to record: kernel launches and the tensors between them. */
export interface Recorder {
  readonly target: Target;
  /** A new activation, f32 unless said otherwise, whatever the tape's precision: sums, statistics, gradients of parameters. */
  tensor(name: string, shape: Shape, dtype?: DType): Tensor;
  /** A new activation stored as a tensor is, and of its shape unless said otherwise: its gradient, or a map beside it. */
  like(name: string, tensor: Tensor, shape?: Shape): Tensor;
  /** Records one launch. `bind` names a tensor for each of the kernel's bindings, `uniforms` a number for each field. */
  dispatch(kernel: Kernel, bind: Inputs, launch: Launch): void;
  /**
   * Puts adding partial sums up off until `total` is read: `record` then records the launch that does. What only the optimiser reads is
   * added up together, many parameters a launch (`keepGradients`). `record` may be called once for each of the totals that it makes.
   */
  addUp(total: Tensor, sums: PartialSums, record: () => void): void;
}

/** total [count] with total[i] = Σ over s < splits of partials[first + s · count + i], in order. */
export interface PartialSums {
  readonly partials: Tensor;
  readonly first: number;
  readonly splits: number;
}

export interface Launch {
  readonly uniforms?: Readonly<Record<string, number>>;
  /** Left out, the kernel walks its `count` elements with as many threads as suit the adapter (`elementwise`). */
  readonly workgroups?: Workgroups;
  /** Floating-point operations, for profiles and for cutting long launches and submissions; elementwise kernels leave it out. */
  readonly flops?: number;
  /** Present where other kernels could do the same: what they would be chosen by, and all tensors that they might bind. */
  readonly tunable?: Tunable & { readonly operands: Inputs };
}

export interface Backward<I extends Inputs, A, S> {
  readonly inputs: I;
  readonly attributes: A;
  /** The op's result. Reading it keeps it in memory until then. */
  readonly output: Tensor;
  /** What the forward returned for the backward. */
  readonly saved: S;
  /** Gradient of the loss with respect to the output, of the output's shape. */
  readonly dy: Tensor;
  /** Whether that input's gradient is wanted; work for others must not be recorded. */
  needs(input: keyof I): boolean;
  /**
   * The gradient that later uses of this input have given it, if any. Whoever asks adds it to its own, in a kernel that writes the
   * gradient anyway; unasked for, the tape adds the two.
   */
  gradientSoFar(input: keyof I): Tensor | undefined;
}

export type Gradients<I extends Inputs> = { readonly [K in keyof I]?: Tensor };

export interface OpDefinition<I extends Inputs, A, S> {
  readonly name: string;
  /** Its result is no feature map, or not one to be rounded: it stays f32 on a mixed tape too. */
  readonly full?: true;
  /** Shape of the result. Throws a typed error when the inputs do not fit; runs before anything is recorded. */
  infer(inputs: I, attributes: A): Shape;
  forward(recorder: Recorder, inputs: I, attributes: A, output: Tensor): S;
  /** Gradients of the inputs, or why the op has none. */
  readonly backward: ((recorder: Recorder, context: Backward<I, A, S>) => Gradients<I>) | NotDifferentiable;
}

export interface NotDifferentiable {
  readonly reason: string;
}

/** Instead of a backward rule: asking for this op's gradient throws `not-differentiable` with the reason. */
export function notDifferentiable(reason: string): NotDifferentiable {
  return { reason };
}

export type Op<I extends Inputs, A> = ((tape: Tape, inputs: I, attributes: A) => Tensor) & {
  readonly opName: string;
  readonly differentiable: boolean;
};

/** Makes a function that checks its arguments and records the op on a tape. */
export function defineOp<I extends Inputs, A, S>(definition: OpDefinition<I, A, S>): Op<I, A> {
  const op = (tape: Tape, inputs: I, attributes: A) => tape.record(definition, inputs, attributes);
  return Object.assign(op, {
    opName: definition.name,
    differentiable: typeof definition.backward === 'function',
  });
}

/** Workgroups of an elementwise kernel for `count` elements: a thread each on a GPU, few that walk them on a CPU. */
export function elementWorkgroups(target: Target, count: number): Workgroups {
  const isCpu = target.class === 'software' || target.class === 'software-subgroups';
  return foldWorkgroups(Math.min(count, target.mostThreads ?? (isCpu ? CPU_THREADS : count)), WORKGROUP);
}

/**
 * Elements that a thread of a sum has under way at a time: a GPU's memory takes long to answer, and sums have too few threads to wait for
 * one each; a CPU's compiler makes less of longer loops.
 */
export function readsAhead(target: Pick<Target, 'class'>): number {
  return target.class === 'gpu' ? 4 : 1;
}

/** Workgroups along one axis that every adapter can launch. */
export const MOST_WORKGROUPS = 65535;

/** Workgroups for a one-dimensional launch of `threads`, folded into y where x would be too many. */
export function foldWorkgroups(threads: number, workgroupSize: number): Workgroups {
  const groups = Math.max(1, Math.ceil(threads / workgroupSize));
  if (groups <= MOST_WORKGROUPS) return [groups, 1, 1];
  const y = Math.ceil(groups / MOST_WORKGROUPS);
  return [Math.ceil(groups / y), y, 1];
}

// Checks that ops share. Each throws naming the op and the argument.

export function needShape(op: string, argument: string, tensor: Tensor, shape: Shape): void {
  if (sameShape(tensor.shape, shape)) return;
  throw new HysparkError('bad-shape', {
    doing: `${op}: argument "${argument}"`,
    got: shapeText(tensor.shape),
    need: shapeText(shape),
  });
}

export function needRank(op: string, argument: string, tensor: Tensor, rank: number, axes: string): void {
  if (tensor.shape.length === rank) return;
  throw new HysparkError('bad-shape', {
    doing: `${op}: argument "${argument}"`,
    got: shapeText(tensor.shape),
    need: axes,
  });
}

export function needDType(op: string, argument: string, tensor: Tensor, dtype: DType): void {
  if (tensor.dtype === dtype) return;
  throw new HysparkError('bad-dtype', { doing: `${op}: argument "${argument}"`, got: tensor.dtype, need: dtype });
}

export function need(condition: boolean, op: string, got: string, needed: string): void {
  if (!condition) throw new HysparkError('bad-argument', { doing: op, got, need: needed });
}

/**
 * What `*.cases.ts` files declare: for each op sample inputs, a plain float64 loop for forward and backward, wrong inputs with
 * the expected message. `run-cases.ts` holds the one runner for all of them. The loops import nothing of the engine.
 */

import type { BrickTable } from '../bricks/table.ts';
import type { Tape } from '../tape/tape.ts';
import type { DType, Shape, Tensor } from '../tape/tensor.ts';

/** What an input is for: a parameter is differentiated, a constant is not, a state may be updated. */
export type Role = 'parameter' | 'constant' | 'state';

export interface SampleInput {
  readonly shape: Shape;
  readonly role?: Role;
  readonly dtype?: DType;
  /** Value of element i from a standard normal draw; the draw itself unless given. */
  readonly value?: (draw: number, i: number) => number;
}

/** Visible bricks of each sample on a grid, for ops on a brick table. */
export interface SampleTable {
  readonly grid: readonly [number, number, number];
  readonly visible: readonly (readonly number[])[];
}

export interface Values {
  readonly [name: string]: Float64Array;
}

export interface Sample<A> {
  readonly name: string;
  readonly inputs: Readonly<Record<string, SampleInput>>;
  readonly attributes: A;
  readonly table?: SampleTable;
}

/** Result of the float64 loop. */
export interface Expected {
  readonly y: Float64Array;
  /** New values of states. */
  readonly states?: Values;
}

export interface WrongInput {
  readonly name: string;
  /** Records the op with something wrong; `table` is the first sample's with a table, if any, `all` that of all its grid's bricks. */
  readonly record: (tape: Tape, table: BrickTable, all: BrickTable) => unknown;
  readonly message: RegExp;
}

export interface OpCases<A> {
  readonly op: string;
  readonly samples: readonly Sample<A>[];
  /** @param all the table of all bricks of the sample's grid. */
  readonly record: (
    tape: Tape,
    inputs: Record<string, Tensor>,
    attributes: A,
    table: BrickTable,
    all: BrickTable,
  ) => Tensor;
  readonly forward: (inputs: Values, attributes: A, sample: Sample<A>) => Expected;
  /** Gradients of every parameter; left out for ops that have none. */
  readonly backward?: (inputs: Values, attributes: A, dy: Float64Array, sample: Sample<A>) => Values;
  readonly wrong?: readonly WrongInput[];
  /** Samples where the op has kinks, so that central differences say nothing. */
  readonly kinked?: boolean;
  /** Largest difference / largest magnitude of the tensor, with the reason where it is not float32's usual 1e-5. */
  readonly tolerance?: { readonly forward: number; readonly backward: number; readonly why: string };
  /** Maps of its own that the op keeps as f16 between its kernels on a mixed tape: their roundings, 2⁻¹¹ each, show in the results. */
  readonly roundings?: (attributes: A) => number;
}

export function defineCases<A>(cases: OpCases<A>): OpCases<A> {
  return cases;
}

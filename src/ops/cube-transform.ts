/** Recording what acts on a cube of matrices along each of its axes: the transforms of weights. */

import { cubeTransformKernel } from '../../shaders/cube-transform.wgsl.ts';
import type { AxisMatrix } from '../../shaders/lib/cube.ts';
import type { Recorder } from '../tape/op.ts';
import type { Tensor } from '../tape/tensor.ts';
import { perElement } from './shapes.ts';

/** Strides of a cube of matrices in memory. */
export interface CubeLayout {
  readonly point: number;
  readonly row: number;
  readonly column?: number;
  readonly base?: number;
}

/**
 * Records y = the matrix on all three axes of x's cube. Without a layout of its own, y is [points, rows, columns], the rows being what
 * its size leaves; `last` [points of x, columns] is what becomes y's last row.
 */
export function transform(
  recorder: Recorder,
  axis: AxisMatrix,
  x: Tensor,
  y: Tensor,
  from: CubeLayout,
  last?: { readonly tensor: Tensor; readonly point: number },
  to?: CubeLayout,
): void {
  const columns = y.channels;
  const rows = y.size / columns / axis.rows.length ** 3;
  const { point, row } = to ?? { point: rows * columns, row: columns };
  const kernel = cubeTransformKernel(axis, last !== undefined);
  const layout = { base: from.base ?? 0, pointX: from.point, rowX: from.row, columnX: from.column ?? 1 };
  const uniforms = { rows, columns, ...layout, pointY: point, rowY: row, ...(last && { pointLast: last.point }) };
  const launch = perElement(axis.rows.length * rows * columns, uniforms);
  recorder.dispatch(kernel, { x, last: last?.tensor, y }, launch);
}

export function matrix(name: string, rows: readonly (readonly number[])[]): AxisMatrix {
  return { name, rows };
}

export function transposed({ name, rows }: AxisMatrix): AxisMatrix {
  return { name: `${name}Transposed`, rows: rows[0]!.map((_, column) => rows.map((row) => row[column]!)) };
}

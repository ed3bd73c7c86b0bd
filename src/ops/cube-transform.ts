/** Recording what acts on a cube of matrices along each of its axes: the transforms of weights. */

import { cubeTransformKernel } from '../../shaders/cube-transform.wgsl.ts';
import { type CubeMatrix, toOf } from '../../shaders/lib/cube.ts';
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
 * Records y = the matrices on the axes of x's cube. Without a layout of its own, y is [points, rows, columns], the rows being what
 * its size leaves; `last` [points of x, columns] is what becomes y's last row.
 */
export function transform(
  recorder: Recorder,
  matrix: CubeMatrix,
  x: Tensor,
  y: Tensor,
  from: CubeLayout,
  last?: { readonly tensor: Tensor; readonly point: number },
  to?: CubeLayout,
): void {
  const columns = y.channels;
  const [toX, toY, toZ] = toOf(matrix);
  const rows = y.size / columns / (toX * toY * toZ);
  const { point, row } = to ?? { point: rows * columns, row: columns };
  const kernel = cubeTransformKernel(matrix, last !== undefined);
  const layout = { base: from.base ?? 0, pointX: from.point, rowX: from.row, columnX: from.column ?? 1 };
  const uniforms = { rows, columns, ...layout, pointY: point, rowY: row, ...(last && { pointLast: last.point }) };
  const launch = perElement(toX * rows * columns, uniforms);
  recorder.dispatch(kernel, { x, last: last?.tensor, y }, launch);
}

/** Depthwise 3³ convolution over bricks, zero padding 1: each channel by itself; absent bricks read as zero. */

import { columnChunks } from '../../shaders/column-sums.wgsl.ts';
import { depthwiseKernel, depthwiseWeightKernel } from '../../shaders/depthwise.wgsl.ts';
import type { BrickTable } from '../bricks/table.ts';
import { defineOp, needShape } from '../tape/op.ts';
import type { Tensor } from '../tape/tensor.ts';
import { recordColumnFinish } from './column-sums.ts';
import { edgeOn, perElement } from './shapes.ts';

export type DepthwiseConv3Inputs = {
  /** [bricks, edge³, C] */
  readonly x: Tensor;
  /** [27, C] */
  readonly weight: Tensor;
  /** [C] */
  readonly bias: Tensor;
};

export const depthwiseConv3 = defineOp({
  name: 'depthwiseConv3',

  infer({ x, weight, bias }: DepthwiseConv3Inputs, table: BrickTable) {
    edgeOn('depthwiseConv3', 'x', x, table);
    needShape('depthwiseConv3', 'weight', weight, [27, x.channels]);
    needShape('depthwiseConv3', 'bias', bias, [x.channels]);
    return x.shape;
  },

  forward(recorder, { x, weight, bias }, table, y) {
    const { length, launch } = strips(x, edgeOn('depthwiseConv3', 'x', x, table));
    recorder.dispatch(depthwiseKernel(length), { x, weight, bias, neighbours: table.neighbours, y }, launch);
  },

  backward(recorder, { inputs: { x, weight }, attributes: table, dy, needs, gradientSoFar }) {
    const edge = edgeOn('depthwiseConv3', 'x', x, table);
    const { length, launch } = strips(x, edge);
    const { channels } = x;
    const { neighbours } = table;
    let dx: Tensor | undefined;
    if (needs('x')) {
      dx = recorder.like('dx', x);
      const residual = gradientSoFar('x');
      const kernel = depthwiseKernel(length, { residual: residual !== undefined });
      recorder.dispatch(kernel, { x: dy, weight, neighbours, residual, y: dx }, launch);
    }
    let dWeight: Tensor | undefined;
    let dBias: Tensor | undefined;
    if (needs('weight') || needs('bias')) {
      const count = x.rows / length;
      const chunks = columnChunks(count, 9 * channels, recorder.target.class !== 'gpu');
      const partials = recorder.tensor('partials', [chunks, 27, channels]);
      const biasPartials = recorder.tensor('biasPartials', [chunks, channels]);
      const uniforms = { strips: count, chunks, channels, edgeLog2: Math.log2(edge) };
      const work = { ...perElement(chunks * 9 * channels, uniforms), flops: 54 * x.size };
      recorder.dispatch(depthwiseWeightKernel(length), { x, dy, neighbours, partials, biasPartials }, work);
      [dWeight] = recordColumnFinish(recorder, partials, 1, chunks, 27 * channels, weight.shape);
      [dBias] = recordColumnFinish(recorder, biasPartials, 1, chunks, channels, [channels]);
    }
    return { x: dx, weight: dWeight, bias: dBias };
  },
});

/** Strips of up to four voxels along z, and a launch of one thread for each strip and channel. */
function strips(x: Tensor, edge: number) {
  const length = Math.min(edge, 4);
  const launch = perElement(x.size / length, { channels: x.channels, edgeLog2: Math.log2(edge) });
  return { length, launch: { ...launch, flops: 54 * x.size } };
}

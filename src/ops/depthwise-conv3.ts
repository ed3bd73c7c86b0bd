/** Depthwise 3³ convolution over bricks, zero padding 1: each channel by itself; absent bricks read as zero. */

import { depthwiseKernel, depthwiseWeightTerms } from '../../shaders/depthwise.wgsl.ts';
import type { BrickTable } from '../bricks/table.ts';
import { defineOp, needShape } from '../tape/op.ts';
import type { Tensor } from '../tape/tensor.ts';
import { PLAIN_SUM, recordColumnSums } from './column-sums.ts';
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
    const edgeLog2 = Math.log2(edgeOn('depthwiseConv3', 'x', x, table));
    const launch = { ...perElement(x.size, { channels: x.channels, edgeLog2 }), flops: 54 * x.size };
    recorder.dispatch(depthwiseKernel(false), { x, weight, bias, neighbours: table.neighbours, y }, launch);
  },

  backward(recorder, { inputs: { x, weight }, attributes: table, dy, needs }) {
    const edgeLog2 = Math.log2(edgeOn('depthwiseConv3', 'x', x, table));
    const { channels } = x;
    const { neighbours } = table;
    let dx: Tensor | undefined;
    if (needs('x')) {
      dx = recorder.tensor('dx', x.shape);
      const launch = { ...perElement(x.size, { channels, edgeLog2 }), flops: 54 * x.size };
      recorder.dispatch(depthwiseKernel(true), { x: dy, weight, neighbours, y: dx }, launch);
    }
    const size = { rows: x.rows, channels: 27 * channels, shape: weight.shape };
    const dWeight = needs('weight')
      ? recordColumnSums(recorder, depthwiseWeightTerms(), { x, dy, neighbours }, size, {
          edgeLog2,
          width: channels,
        })[0]
      : undefined;
    const dBias = needs('bias')
      ? recordColumnSums(recorder, PLAIN_SUM, { x: dy }, { rows: x.rows, channels })[0]
      : undefined;
    return { x: dx, weight: dWeight, bias: dBias };
  },
});

/**
 * Transposed convolution of kernel 2 and stride 2: [bricks, edge³, K] → [bricks, (2·edge)³, N]. Each voxel's 8 children are a linear
 * map of it, so it stays within bricks.
 */

import { defineOp, needRank, needShape } from '../tape/op.ts';
import type { Tensor } from '../tape/tensor.ts';
import { PLAIN_SUM, recordColumnSums } from './column-sums.ts';
import { recordProduct, recordWeightGradient } from './gemm.ts';
import { edgeOf } from './shapes.ts';

export type TransposedConv2Inputs = {
  /** [bricks, edge³, K] */
  readonly x: Tensor;
  /** [K, 8, N], children (dx·2 + dy)·2 + dz */
  readonly weight: Tensor;
  /** [N] */
  readonly bias?: Tensor;
};

export const transposedConv2 = defineOp({
  name: 'transposedConv2',

  infer({ x, weight, bias }: TransposedConv2Inputs, _: undefined) {
    const edge = edgeOf('transposedConv2', 'x', x);
    needRank('transposedConv2', 'weight', weight, 3, '[input channels, 8, output channels]');
    const columns = weight.shape[2]!;
    needShape('transposedConv2', 'weight', weight, [x.channels, 8, columns]);
    if (bias) needShape('transposedConv2', 'bias', bias, [columns]);
    return [x.shape[0]!, (2 * edge) ** 3, columns];
  },

  forward(recorder, { x, weight, bias }, _, y) {
    const columns = weight.shape[2]!;
    // One product with the 8 children's columns side by side; the epilogue sends each to its voxel.
    recordProduct(recorder, {
      addressing: 'rows',
      a: x,
      weight,
      layout: { strideTap: 0, strideInner: 8 * columns, strideColumn: 1 },
      bias,
      rows: x.rows,
      inner: x.channels,
      columns: 8 * columns,
      edge: edgeOf('transposedConv2', 'x', x),
      y,
      perChild: columns,
    });
  },

  backward(recorder, { inputs: { x, weight, bias }, dy, needs }) {
    const [inner, , columns] = weight.shape as [number, number, number];
    const edge = edgeOf('transposedConv2', 'x', x);
    let dx: Tensor | undefined;
    if (needs('x')) {
      dx = recorder.like('dx', x);
      // The sum over children of dy times their transposed weight.
      const layout = { strideTap: columns, strideInner: 1, strideColumn: 8 * columns };
      const size = { rows: x.rows, inner: columns, columns: inner, edge };
      recordProduct(recorder, { addressing: 'children', a: dy, weight, layout, ...size, y: dx });
    }
    let dWeight: Tensor | undefined;
    if (needs('weight')) {
      dWeight = recorder.tensor('dWeight', weight.shape);
      // Taken transposed, Σ dy[child] ⊗ x, because the family gathers its first factor; the finish writes it as [K, 8, N].
      const layout = { strideTap: columns, strideInner: 1, strideColumn: 8 * columns };
      const size = { rows: x.rows, inner: columns, columns: inner, edge };
      recordWeightGradient(recorder, { addressing: 'children', a: dy, d: x, ...size, dWeight, layout });
    }
    const dBias = needs('bias')
      ? recordColumnSums(recorder, PLAIN_SUM, { x: dy }, { rows: dy.rows, channels: columns })[0]
      : undefined;
    return { x: dx, weight: dWeight, bias: bias && dBias };
  },
});

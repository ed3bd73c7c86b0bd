/**
 * 3³ convolution over bricks, zero padding 1: across a brick's face through the table, absent bricks read as zero. On the table of
 * the visible bricks this is the masked (submanifold) convolution, on the table of all bricks the dense one.
 */

import type { BrickTable } from '../bricks/table.ts';
import { defineOp, needRank, needShape } from '../tape/op.ts';
import type { Tensor } from '../tape/tensor.ts';
import { PLAIN_SUM, recordColumnSums } from './column-sums.ts';
import { recordProduct, recordWeightGradient } from './gemm.ts';
import { edgeOn } from './shapes.ts';

export type Conv3Inputs = {
  /** [bricks, edge³, K] */
  readonly x: Tensor;
  /** [27, K, N], taps (dx+1)·9 + (dy+1)·3 + (dz+1) */
  readonly weight: Tensor;
  /** [N] */
  readonly bias?: Tensor;
};

export const conv3 = defineOp({
  name: 'conv3',

  infer({ x, weight, bias }: Conv3Inputs, table: BrickTable) {
    edgeOn('conv3', 'x', x, table);
    needRank('conv3', 'weight', weight, 3, '[27, input channels, output channels]');
    const columns = weight.shape[2]!;
    needShape('conv3', 'weight', weight, [27, x.channels, columns]);
    if (bias) needShape('conv3', 'bias', bias, [columns]);
    return [x.shape[0]!, x.shape[1]!, columns];
  },

  forward(recorder, { x, weight, bias }, table, y) {
    const [, inner, columns] = weight.shape as [number, number, number];
    const layout = { strideTap: inner * columns, strideInner: columns, strideColumn: 1 };
    recordProduct(recorder, {
      addressing: 'neighbours',
      a: x,
      weight,
      layout,
      bias,
      neighbours: table.neighbours,
      rows: x.rows,
      inner,
      columns,
      edge: edgeOn('conv3', 'x', x, table),
      y,
    });
  },

  backward(recorder, { inputs: { x, weight }, attributes: table, dy, needs, gradientSoFar }) {
    const [, inner, columns] = weight.shape as [number, number, number];
    const edge = edgeOn('conv3', 'x', x, table);
    const { neighbours } = table;
    let dx: Tensor | undefined;
    if (needs('x')) {
      dx = recorder.like('dx', x);
      // The same convolution of dy with the taps mirrored and the weight transposed: tap t reads w[26 − t, n, k].
      const mirrored = {
        base: 26 * inner * columns,
        strideTap: -inner * columns,
        strideInner: 1,
        strideColumn: columns,
      };
      const size = { rows: x.rows, inner: columns, columns: inner, edge };
      recordProduct(recorder, {
        addressing: 'neighbours',
        a: dy,
        weight,
        layout: mirrored,
        neighbours,
        ...size,
        residual: gradientSoFar('x'),
        y: dx,
      });
    }
    let dWeight: Tensor | undefined;
    let dBias: Tensor | undefined;
    if (needs('weight')) {
      dWeight = recorder.tensor('dWeight', weight.shape);
      const layout = { strideTap: inner * columns, strideInner: columns, strideColumn: 1 };
      const size = { rows: x.rows, inner, columns, edge };
      const maps = { addressing: 'neighbours', a: x, d: dy, neighbours } as const;
      dBias = recordWeightGradient(recorder, { ...maps, ...size, dWeight, layout, bias: needs('bias') });
    } else if (needs('bias')) {
      [dBias] = recordColumnSums(recorder, PLAIN_SUM, { x: dy }, { rows: x.rows, channels: columns });
    }
    return { x: dx, weight: dWeight, bias: dBias };
  },
});

/** Linear layer, which is the 1³ convolution: y = x W + b + residual on the last axis, for rows of any leading shape. */

import { defineOp, need, needDType, needRank, needShape } from '../tape/op.ts';
import type { Tensor } from '../tape/tensor.ts';
import { PLAIN_SUM, recordColumnSums } from './column-sums.ts';
import { recordProduct, recordWeightGradient } from './gemm.ts';

export type LinearInputs = {
  /** [..., K] */
  readonly x: Tensor;
  /** [K, N]: input channels first, the transpose of PyTorch's. */
  readonly weight: Tensor;
  /** [N] */
  readonly bias?: Tensor;
  /** [..., N], added last. */
  readonly residual?: Tensor;
};

export const linear = defineOp({
  name: 'linear',

  infer({ x, weight, bias, residual }: LinearInputs, _: undefined) {
    needDType('linear', 'x', x, 'f32');
    needRank('linear', 'weight', weight, 2, '[input channels, output channels]');
    const [inner, columns] = weight.shape as [number, number];
    needShape('linear', 'weight', weight, [x.channels, columns]);
    if (bias) needShape('linear', 'bias', bias, [columns]);
    const shape = [...x.shape.slice(0, -1), columns];
    if (residual) needShape('linear', 'residual', residual, shape);
    need(inner > 0, 'linear', 'no input channels', 'at least one');
    return shape;
  },

  forward(recorder, { x, weight, bias, residual }, _, y) {
    const [inner, columns] = weight.shape as [number, number];
    const layout = { strideTap: 0, strideInner: columns, strideColumn: 1 };
    recordProduct(recorder, {
      addressing: 'rows',
      a: x,
      weight,
      layout,
      bias,
      residual,
      rows: x.rows,
      inner,
      columns,
      y,
    });
  },

  backward(recorder, { inputs: { x, weight, residual }, dy, needs, gradientSoFar }) {
    const [inner, columns] = weight.shape as [number, number];
    let dx: Tensor | undefined;
    if (needs('x')) {
      dx = recorder.like('dx', x);
      const transposed = { strideTap: 0, strideInner: 1, strideColumn: columns };
      const size = { rows: x.rows, inner: columns, columns: inner };
      recordProduct(recorder, {
        addressing: 'rows',
        a: dy,
        weight,
        layout: transposed,
        ...size,
        residual: gradientSoFar('x'),
        y: dx,
      });
    }
    let dWeight: Tensor | undefined;
    let dBias: Tensor | undefined;
    if (needs('weight')) {
      dWeight = recorder.tensor('dWeight', weight.shape);
      const layout = { strideTap: 0, strideInner: columns, strideColumn: 1 };
      dBias = recordWeightGradient(recorder, {
        addressing: 'rows',
        a: x,
        d: dy,
        rows: x.rows,
        inner,
        columns,
        dWeight,
        layout,
        bias: needs('bias'),
      });
    } else if (needs('bias')) {
      [dBias] = recordColumnSums(recorder, PLAIN_SUM, { x: dy }, { rows: x.rows, channels: columns });
    }
    return { x: dx, weight: dWeight, bias: dBias, residual: residual && dy };
  },
});

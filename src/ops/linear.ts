/** Linear layer, which is the 1³ convolution: y = f(x W + b) + residual on the last axis, for rows of any leading shape. */

import { activationGradientKernel } from '../../shaders/activation.wgsl.ts';
import { defineOp, need, needDType, needRank, needShape } from '../tape/op.ts';
import type { Tensor } from '../tape/tensor.ts';
import { PLAIN_SUM, recordColumnSums } from './column-sums.ts';
import { recordProduct, recordWeightGradient } from './gemm.ts';
import { perElement } from './shapes.ts';

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

export interface LinearAttributes {
  /** f: the identity, or exact-erf GELU in the product's epilogue. */
  readonly activation?: 'gelu';
}

export const linear = defineOp({
  name: 'linear',

  infer({ x, weight, bias, residual }: LinearInputs, { activation }: LinearAttributes) {
    needDType('linear', 'x', x, 'f32');
    needRank('linear', 'weight', weight, 2, '[input channels, output channels]');
    const [inner, columns] = weight.shape as [number, number];
    needShape('linear', 'weight', weight, [x.channels, columns]);
    if (bias) needShape('linear', 'bias', bias, [columns]);
    const shape = [...x.shape.slice(0, -1), columns];
    if (residual) needShape('linear', 'residual', residual, shape);
    need(activation === undefined || activation === 'gelu', 'linear: activation', String(activation), 'gelu or none');
    need(inner > 0, 'linear', 'no input channels', 'at least one');
    return shape;
  },

  forward(recorder, { x, weight, bias, residual }, { activation }, y) {
    const [inner, columns] = weight.shape as [number, number];
    const pre = activation ? recorder.tensor('pre', y.shape) : undefined;
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
      pre,
    });
    return { pre };
  },

  backward(recorder, { inputs: { x, weight, residual }, saved: { pre }, dy, needs, gradientSoFar }) {
    const [inner, columns] = weight.shape as [number, number];
    let dPre = dy;
    if (pre) {
      dPre = recorder.tensor('dPre', dy.shape);
      recorder.dispatch(activationGradientKernel('gelu'), { x: pre, dy, dx: dPre }, perElement(dy.size));
    }
    let dx: Tensor | undefined;
    if (needs('x')) {
      dx = recorder.tensor('dx', x.shape);
      const transposed = { strideTap: 0, strideInner: 1, strideColumn: columns };
      const size = { rows: x.rows, inner: columns, columns: inner };
      const sofar = gradientSoFar('x');
      recordProduct(recorder, {
        addressing: 'rows',
        a: dPre,
        weight,
        layout: transposed,
        ...size,
        residual: sofar,
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
        d: dPre,
        rows: x.rows,
        inner,
        columns,
        dWeight,
        layout,
        bias: needs('bias'),
      });
    } else if (needs('bias')) {
      [dBias] = recordColumnSums(recorder, PLAIN_SUM, { x: dPre }, { rows: x.rows, channels: columns });
    }
    return { x: dx, weight: dWeight, bias: dBias, residual: residual && dy };
  },
});

/** The sum of all elements of a tensor, times a factor: [..] → [1]. Fixed order. */

import { broadcastKernel } from '../../shaders/elementwise.wgsl.ts';
import { WORKGROUP } from '../../shaders/lib/kernel.ts';
import { totalKernel } from '../../shaders/total.wgsl.ts';
import { defineOp, needDType, type Recorder } from '../tape/op.ts';
import type { Tensor } from '../tape/tensor.ts';
import { perElement } from './shapes.ts';

export type SumInputs = { readonly x: Tensor };

export interface SumAttributes {
  /** 1 unless given; 1 / size makes it the mean. */
  readonly factor?: number;
}

/** Elements that one workgroup adds without a second pass. */
const ONE_PASS = 4096;

/** y [1] = factor · Σ x. */
export function recordTotal(recorder: Recorder, x: Tensor, y: Tensor, factor: number): void {
  if (x.size <= ONE_PASS) {
    recorder.dispatch(totalKernel(), { x, y }, { uniforms: { count: x.size, factor }, workgroups: [1, 1, 1] });
    return;
  }
  const groups = Math.min(1024, Math.ceil(x.size / (8 * WORKGROUP)));
  const partials = recorder.tensor('partials', [groups]);
  recorder.dispatch(
    totalKernel(),
    { x, y: partials },
    { uniforms: { count: x.size, factor: 1 }, workgroups: [groups, 1, 1] },
  );
  recorder.dispatch(totalKernel(), { x: partials, y }, { uniforms: { count: groups, factor }, workgroups: [1, 1, 1] });
}

export const sum = defineOp({
  name: 'sum',
  full: true,

  infer({ x }: SumInputs, _: SumAttributes) {
    needDType('sum', 'x', x, 'f32');
    return [1];
  },

  forward(recorder, { x }, { factor = 1 }, y) {
    recordTotal(recorder, x, y, factor);
  },

  backward(recorder, { inputs: { x }, attributes: { factor = 1 }, dy }) {
    const dx = recorder.like('dx', x);
    recorder.dispatch(broadcastKernel(), { x: dy, y: dx }, perElement(x.size, { factor }));
    return { x: dx };
  },
});

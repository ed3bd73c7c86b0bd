/**
 * Subgroup matrices in plain WGSL, for adapters without them: a thread is a subgroup, a matrix an array of its own, and the builtins are
 * loops over it. The kernel around them (staging, offsets, strides, edges, epilogue) is the one that matrix units run.
 */

import type { Kernel } from '../../shaders/lib/kernel.ts';
import { Device } from '../gpu/device.ts';

const EXTENSION = 'chromium_experimental_subgroup_matrix';

/** For matrices of one lane: `{ …, lanes: 1 }`. Other kernels stay as they are. */
export function emulated(kernel: Kernel): Kernel {
  if (!kernel.wgsl.includes(EXTENSION)) return kernel;
  const [, resultColumns, resultRows] = /subgroup_matrix_result<f32, (\d+), (\d+)>/.exec(kernel.wgsl)!.map(Number);
  const left = /subgroup_matrix_left<(\w+), (\d+), \d+>/.exec(kernel.wgsl)!;
  const [type, inner] = [left[1], Number(left[2])];
  const load = (name: string, tile: string, rows: number, columns: number, isAcross = false) => `
fn ${name}(offset: u32, stride: u32) -> array<${type}, ${rows * columns}> {
  var matrix: array<${type}, ${rows * columns}>;
  for (var e = 0u; e < ${rows * columns}u; e++) {
    let row = e / ${columns}u; let column = e % ${columns}u;
    matrix[e] = ${tile}[offset + ${isAcross ? 'column * stride + row' : 'row * stride + column'}];
  }
  return matrix;
}`;
  const result = `array<f32, ${resultRows! * resultColumns!}>`;
  const builtins = `${load('loadLeft', 'tileA', resultRows!, inner, kernel.wgsl.includes('col_major'))}${load('loadRight', 'tileB', inner, resultColumns!)}
fn storeResult(offset: u32, given: ${result}, stride: u32) {
  var matrix = given;
  for (var e = 0u; e < ${resultRows! * resultColumns!}u; e++) { results[offset + (e / ${resultColumns}u) * stride + e % ${resultColumns}u] = matrix[e]; }
}
fn multiplyAccumulate(left: array<${type}, ${resultRows! * inner}>, right: array<${type}, ${inner * resultColumns!}>, given: ${result}) -> ${result} {
  var a = left; var b = right; var sum = given;
  for (var e = 0u; e < ${resultRows! * resultColumns!}u; e++) {
    for (var k = 0u; k < ${inner}u; k++) { sum[e] += f32(a[(e / ${resultColumns}u) * ${inner}u + k]) * f32(b[k * ${resultColumns}u + e % ${resultColumns}u]); }
  }
  return sum;
}`;
  const wgsl = kernel.wgsl
    .replace(/enable subgroups;\n|diagnostic\(off, chromium.*\n/g, '')
    .replace(`enable ${EXTENSION};\n`, '')
    .replace(
      '@builtin(subgroup_id) subgroup: u32) {',
      '@builtin(global_invocation_id) all: vec3u) { let subgroup = local;',
    )
    .replace(/subgroup_matrix_result<f32, \d+, \d+>\(\)/g, `${result}()`)
    .replace(/subgroupMatrixLoad<subgroup_matrix_left<\w+, \d+, \d+>, \w+>\(&tileA, /g, 'loadLeft(')
    .replace(/subgroupMatrixLoad<subgroup_matrix_right<\w+, \d+, \d+>, row_major>\(&tileB, /g, 'loadRight(')
    .replace(/subgroupMatrixStore<row_major>\(&results, /g, 'storeResult(')
    .replace(/subgroupMatrixMultiplyAccumulate\(/g, 'multiplyAccumulate(');
  return { ...kernel, id: `${kernel.id} emulated`, wgsl: wgsl + builtins, subgroups: false };
}

/** A device that runs matrix kernels emulated. */
export class EmulatingDevice extends Device {
  static of(device: Device): EmulatingDevice {
    return new EmulatingDevice(device.gpu, device.report, (promise) => device.wait(promise));
  }

  override compile(kernel: Kernel) {
    return super.compile(emulated(kernel));
  }
}

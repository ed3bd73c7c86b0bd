import { describe, expect, test } from 'vitest';
import type { Target } from '../tape/op.ts';
import { type ConvolutionShape, keyOfConvolution, usesWinograd } from './conv3-algorithm.ts';

const on = (target: Target['class'], subgroupSize = 0): Target => ({ class: target, subgroupSize });
const shape = (inner: number, columns: number, edge: number, bricks: number): ConvolutionShape => ({
  rows: bricks * edge ** 3,
  inner,
  columns,
  edge,
});
const WIDE = shape(192, 96, 8, 216);

describe('Winograd’s algorithm', () => {
  test.each([
    ['lavapipe', 8, shape(96, 96, 4, 27), true],
    ['lavapipe', 8, shape(48, 48, 4, 216), false],
    ['lavapipe', 8, shape(384, 192, 2, 27), false], // too few rows for such weights
    ['SwiftShader', 4, shape(48, 48, 4, 216), true],
    ['SwiftShader', 4, shape(12, 12, 8, 27), false],
  ])('on %s pays with many channels on many rows: %i lanes, %o', (_, lanes, size, pays) => {
    expect(usesWinograd(on('software-subgroups', lanes), size)).toBe(pays);
  });

  test('is not taken where nothing was measured', () => {
    for (const target of [on('gpu', 32), on('software'), on('plain')]) expect(usesWinograd(target, WIDE)).toBe(false);
  });

  test('is taken where it was measured to be faster, and only there', () => {
    const tuned = (name: string) => ({ [keyOfConvolution(WIDE)]: name });
    expect(usesWinograd({ ...on('gpu'), tuning: tuned('winograd') }, WIDE)).toBe(true);
    expect(usesWinograd({ ...on('gpu'), tuning: tuned('winograd') }, shape(96, 96, 8, 216))).toBe(false);
    expect(usesWinograd({ ...on('software-subgroups', 4), tuning: tuned('direct') }, WIDE)).toBe(false);
  });

  test('needs bricks of more than one voxel', () => {
    const tokens = shape(192, 96, 1, 216);
    const tuning = { [keyOfConvolution(tokens)]: 'winograd' };
    expect(usesWinograd({ ...on('gpu'), tuning }, tokens)).toBe(false);
  });
});

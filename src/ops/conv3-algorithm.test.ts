import { describe, expect, test } from 'vitest';
import type { Target } from '../tape/op.ts';
import { algorithmsFor, type ConvolutionShape, keyOfConvolution, winogradTile } from './conv3-algorithm.ts';

const on = (target: Target['class'], subgroupSize = 0): Target => ({ class: target, subgroupSize });
const shape = (
  inner: number,
  columns: number,
  edge: number,
  bricks: number,
  after?: ConvolutionShape['after'],
): ConvolutionShape => ({
  after,
  rows: bricks * edge ** 3,
  inner,
  columns,
  edge,
});
const WIDE = shape(192, 96, 8, 216);
const NARROW = shape(6, 6, 16, 27);
const LARGE = [2, 4, 4];
const SMALL = [2, 2, 2];
const names = (target: Target, size: ConvolutionShape) => algorithmsFor(target, size).map(({ name }) => name);

describe('Winograd’s algorithm', () => {
  test.each([
    ['lavapipe', 8, shape(96, 96, 4, 27), LARGE],
    ['lavapipe', 8, shape(24, 24, 8, 27), undefined],
    ['lavapipe', 8, shape(192, 96, 2, 216), SMALL],
    ['lavapipe', 8, shape(384, 192, 2, 27), undefined], // too few rows for such weights
    ['SwiftShader', 4, shape(12, 12, 8, 27), LARGE],
    ['SwiftShader', 4, shape(12, 12, 2, 27), undefined],
    ['SwiftShader', 4, NARROW, undefined],
  ])('on %s pays with many channels on many rows: %i lanes, %o', (_, lanes, size, tile) => {
    expect(winogradTile(on('software-subgroups', lanes), size)).toEqual(tile);
  });

  test.each([
    ['wide', WIDE, LARGE],
    ['wide, in bricks of 2³', shape(192, 96, 2, 216), SMALL],
    ['narrow', NARROW, undefined],
    ['with few rows', shape(384, 192, 2, 27), undefined],
  ])('on GPUs likewise: %s', (_, size, tile) => {
    expect(winogradTile(on('gpu', 32), size)).toEqual(tile);
  });

  test.each([
    ['lavapipe', 'software-subgroups', 8, shape(96, 48, 4, 27, 'up'), LARGE],
    ['lavapipe', 'software-subgroups', 8, shape(12, 6, 8, 27, 'up'), undefined],
    ['SwiftShader', 'software-subgroups', 4, shape(96, 48, 4, 27, 'up'), LARGE],
    ['SwiftShader', 'software-subgroups', 4, shape(12, 6, 8, 27, 'up'), undefined],
    ['SwiftShader', 'software-subgroups', 4, shape(24, 12, 4, 27, 'up'), undefined], // too few rows
    ['GPUs', 'gpu', 32, shape(96, 48, 8, 216, 'up'), LARGE],
    ['GPUs', 'gpu', 32, shape(384, 192, 2, 216, 'up'), undefined], // bricks smaller than the tile
    ['GPUs', 'gpu', 32, shape(6, 6, 16, 27, 'up'), undefined],
    ['GPUs', 'gpu', 32, shape(128, 96, 8, 54, 'densify'), undefined], // until the tuner has timed it
    ['lavapipe', 'software-subgroups', 8, shape(128, 96, 8, 54, 'densify'), undefined],
  ] as const)('composed with an upsampling or densify likewise, on %s', (_, kind, lanes, size, tile) => {
    expect(winogradTile(on(kind, lanes), size)).toEqual(tile);
    expect(winogradTile(on(kind, lanes), size, false)).toBeUndefined();
  });

  test('is not taken where nothing was measured', () => {
    for (const target of [on('software'), on('plain')]) expect(winogradTile(target, WIDE)).toBeUndefined();
  });

  test('is taken as it was measured to be fastest', () => {
    const tuned = (size: ConvolutionShape, name: string): Target => ({
      ...on('gpu'),
      tuning: { [keyOfConvolution(size)]: name },
    });
    expect(winogradTile(tuned(NARROW, 'winograd 2x2x2'), NARROW)).toEqual(SMALL);
    expect(winogradTile(tuned(WIDE, 'direct'), WIDE)).toBeUndefined();
    expect(winogradTile({ ...tuned(WIDE, 'direct'), class: 'software-subgroups' }, WIDE)).toBeUndefined();
    expect(winogradTile(tuned(WIDE, 'winograd 2x2x2'), WIDE)).toEqual(SMALL);
    expect(winogradTile(tuned(WIDE, 'of another version'), WIDE)).toEqual(LARGE);
  });

  test('is one of a few, the default first', () => {
    expect(names(on('gpu'), WIDE)).toEqual(['winograd 2x4x4', 'winograd 2x2x2', 'direct']);
    expect(names(on('gpu'), NARROW)).toEqual(['direct', 'winograd 2x4x4', 'winograd 2x2x2']);
    expect(names(on('gpu'), shape(192, 96, 2, 216))).toEqual(['winograd 2x2x2', 'direct']);
    expect(names(on('gpu'), shape(192, 96, 1, 216))).toEqual(['direct']);
    expect(names(on('gpu'), shape(192, 96, 8, 54, 'densify'))).toEqual(['direct', 'winograd 2x4x4', 'winograd 2x2x2']);
  });

  test('needs bindings that hold the points of its weight', () => {
    const size = shape(768, 384, 8, 216); // 64 points take 75 MB, 144 170 MB
    expect(names(on('gpu'), size)).toEqual(['winograd 2x2x2', 'direct']);
    const large = { ...on('gpu'), limits: { maxStorageBufferBindingSize: 2 ** 30 } };
    expect(names(large, size)).toEqual(['winograd 2x4x4', 'winograd 2x2x2', 'direct']);
    const up = shape(384, 192, 4, 216, 'up'); // 600 take 177 MB
    expect(names(on('gpu'), up)).toEqual(['direct']);
    expect(names(large, up)).toEqual(['winograd 2x4x4', 'direct']);
  });

  test('can be asked for, and forbidden', () => {
    expect(winogradTile(on('plain'), NARROW, true)).toEqual(LARGE);
    expect(winogradTile(on('plain'), shape(6, 6, 1, 27), true)).toBeUndefined();
    expect(winogradTile(on('gpu'), WIDE, false)).toBeUndefined();
  });
});

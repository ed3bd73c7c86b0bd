import { expect, test } from 'vitest';
import { describeAdapter, REQUESTED_LIMITS } from './adapter.ts';

const CONFIGS = [
  { componentType: 'f16', resultComponentType: 'f32', M: 16, N: 8, K: 16 },
  { componentType: 'f16', resultComponentType: 'f16', M: 16, N: 8, K: 16 },
  { componentType: 'i8', resultComponentType: 'i32', M: 16, N: 8, K: 32 },
  { componentType: 'f32', resultComponentType: 'f32', M: 8, N: 8, K: 8 },
];

function adapter(
  features: readonly string[],
  configs?: typeof CONFIGS,
  info: Partial<GPUAdapterInfo> = {},
): GPUAdapter {
  return {
    info: {
      ...{ vendor: 'v', architecture: 'a', device: '', description: '', isFallbackAdapter: false },
      ...{ subgroupMinSize: 16, subgroupMaxSize: 32, subgroupMatrixConfigs: configs },
      ...info,
    },
    features: new Set(features),
    limits: Object.fromEntries(REQUESTED_LIMITS.map((name) => [name, 1])),
  } as unknown as GPUAdapter;
}

const MATRICES = 'chromium-experimental-subgroup-matrix';
const ALL = ['subgroups', 'shader-f16', MATRICES];

test('matrix units are asked for only by name', () => {
  const { features, matrices } = describeAdapter(adapter(ALL, CONFIGS));
  expect([features, matrices]).toEqual([['subgroups', 'shader-f16'], []]);
});

test('of their shapes those are taken that sum in f32, of factors that the device can hold', () => {
  const wanted = { subgroupMatrix: true };
  const f16 = { input: 'f16', M: 16, N: 8, K: 16, lanes: 32 };
  const f32 = { input: 'f32', M: 8, N: 8, K: 8, lanes: 32 };
  const { features, matrices } = describeAdapter(adapter(ALL, CONFIGS), wanted);
  expect([features, matrices]).toEqual([ALL, [f16, f32]]);
  expect(describeAdapter(adapter(['subgroups', MATRICES], CONFIGS), wanted).matrices).toEqual([f32]);
  expect(describeAdapter(adapter([MATRICES], CONFIGS), wanted)).toMatchObject({ features: [], matrices: [] });
  expect(describeAdapter(adapter(['subgroups'], CONFIGS), wanted).matrices).toEqual([]);
  expect(describeAdapter(adapter(ALL), wanted).matrices).toEqual([]); // the feature, but no shapes
});

test.each([
  ['the model of a GPU', { device: 'GPU 9000', description: 'GPU: driver 1.2' }, 'GPU 9000'],
  [
    'the version of a software adapter',
    { device: 'llvmpipe (256 bits)', description: 'llvmpipe: Mesa 25' },
    'llvmpipe: Mesa 25',
  ],
  ['what a browser tells', { vendor: 'nvidia', architecture: 'ampere' }, 'nvidia ampere'],
  ['nothing', { vendor: '', architecture: '' }, 'unnamed adapter'],
])('an adapter’s name is %s', (_, info, name) => {
  expect(describeAdapter(adapter([], undefined, info)).name).toBe(name);
});

/**
 * Every kernel of subgroup matrices is WGSL without a diagnostic. Dawn's null backend compiles for any adapter and runs nothing; a process
 * has one Dawn, so this file has that one to itself.
 */

import { expect, test } from 'vitest';
import type { ProductVariant } from '../../shaders/gemm/family.ts';
import type { SubgroupMatrix } from '../../shaders/gemm/matrix.wgsl.ts';
import { type Addressing, TAPS } from '../../shaders/lib/rows.ts';
import { openDevice } from '../gpu/device.ts';
import type { Target } from '../tape/op.ts';
import type { Candidate } from './gemm-choice.ts';
import { matrixProducts, matrixWeightGradients } from './gemm-matrices.ts';

/** Of Apple, NVIDIA and Intel. */
const SHAPES = [
  { input: 'f32', M: 8, N: 8, K: 8 },
  { input: 'f16', M: 16, N: 16, K: 16 },
  { input: 'f16', M: 16, N: 8, K: 8 },
  { input: 'f16', M: 8, N: 16, K: 16 },
] as const;

const PLAIN: ProductVariant = {
  addressing: 'rows',
  gelu: false,
  slope: false,
  bias: false,
  borders: false,
  skip: false,
  residual: false,
  scatter: false,
  constant: false,
};
const VARIANTS: readonly ProductVariant[] = [
  PLAIN,
  { ...PLAIN, bias: true, gelu: true, residual: true },
  { ...PLAIN, bias: true, scatter: true },
  { ...PLAIN, slope: true },
  { ...PLAIN, addressing: 'neighbours', bias: true },
  { ...PLAIN, addressing: 'neighbours', bias: true, borders: true, skip: true },
];

const COLUMNS = [8, 24, 40, 64, 96];

const withMatrices = (...matrices: SubgroupMatrix[]): Target => ({ class: 'gpu', subgroupSize: 0, matrices });

/** 4 · 32 threads are a multiple of what the null backend calls its largest subgroup, 2 · 32 are not: it is told of smaller ones. */
const lanesFor = (subgroups: number) => 128 / subgroups;

test('compiles', async () => {
  const device = await openDevice({ dawnOptions: ['backend=null'], experimental: { subgroupMatrix: true } });
  expect(device.report.features).toContain('chromium-experimental-subgroup-matrix');
  const compiled = new Set<string>();
  const compile = async (candidates: readonly Candidate[]) => {
    for (const candidate of candidates) {
      const { kernel } = candidate.choice();
      await device.compile(kernel);
      compiled.add(kernel.id);
    }
  };
  for (const shape of SHAPES) {
    for (const columns of COLUMNS) {
      for (const variant of VARIANTS) {
        for (const unitStride of [true, false]) {
          const product = { rows: 100, inner: 20, columns, edge: 1, unitStride, vectors: columns > 8, half: true };
          await compile(matrixProducts(withMatrices({ ...shape, lanes: lanesFor(4) }), variant, product));
        }
      }
      for (const addressing of Object.keys(TAPS) as Addressing[]) {
        for (const [inner, subgroupsDown] of [
          [20, 1],
          [50, 2],
        ] as const) {
          const gradient = {
            rows: 1000,
            inner,
            columns,
            edge: 1,
            taps: TAPS[addressing],
            vectors: columns > 8 && inner === 20,
            half: true,
          };
          const subgroups = subgroupsDown * (columns > 48 ? 2 : 1);
          await compile(
            matrixWeightGradients(
              withMatrices({ ...shape, lanes: lanesFor(subgroups) }),
              { addressing, bias: false },
              gradient,
            ),
          );
        }
      }
    }
  }
  const products = 2 * VARIANTS.length; // both orders of weights
  const gradients = 2 * Object.keys(TAPS).length;
  expect(compiled.size).toBe(SHAPES.length * COLUMNS.length * (products + gradients));
  const { kernel } = matrixWeightGradients(
    withMatrices({ ...SHAPES[0], lanes: lanesFor(1) }),
    { addressing: 'rows', bias: false },
    { rows: 1, inner: 1, columns: 1, edge: 1, taps: 1, vectors: false, half: false },
  )[0]!.choice();
  const broken = { ...kernel, id: 'broken', wgsl: kernel.wgsl.replace('row_major', 'no_major') };
  await expect(device.compile(broken)).rejects.toThrow(/Compiling kernel broken.*subgroupMatrixLoad/);
});

test('f16 rounds what is stored as f16, and the forward pass; no other gradient', () => {
  const target = withMatrices({ input: 'f16', M: 16, N: 16, K: 16, lanes: 32 });
  const forward = { rows: 64, inner: 32, columns: 32, edge: 1, unitStride: true, vectors: true, half: false };
  const [usual, slope] = [VARIANTS[0]!, { ...VARIANTS[0]!, slope: true }];
  const counts = (half: boolean) => [
    matrixProducts(target, usual, { ...forward, half }).length,
    matrixProducts(target, usual, { ...forward, half, unitStride: false }).length,
    matrixProducts(target, slope, { ...forward, half }).length,
    matrixWeightGradients(target, { addressing: 'rows', bias: false }, { ...forward, half, taps: 1 }).length,
  ];
  expect(counts(false)).toEqual([1, 0, 0, 0]);
  expect(counts(true)).toEqual([1, 1, 1, 1]);
});

/** Products by subgroup matrices, where an adapter offers them and they were asked for: candidates beside the tiles, never a default. */

import type {
  ProductShape,
  ProductVariant,
  WeightGradientShape,
  WeightGradientVariant,
} from '../../shaders/gemm/family.ts';
import {
  MATRIX_ROWS,
  type MatrixTile,
  matrixMemory,
  matrixProductKernel,
  matrixWeightGradientKernel,
  type SubgroupMatrix,
} from '../../shaders/gemm/matrix.wgsl.ts';
import { foldWorkgroups } from '../tape/op.ts';
import {
  type Candidate,
  REORDERED,
  type SplitChoice,
  splitRows,
  USUAL_WORKGROUPS,
  WORKGROUP_MEMORY,
} from './gemm-choice.ts';

/**
 * Both factors are rounded to 11 bits, relatively by 2⁻¹² on average: a sum of products is off by some 5 · 10⁻⁴ of the largest, at
 * most thrice that in tests.
 */
export const ROUNDED_TO_F16 = 2e-3;

/** Blocks of a workgroup's subgroups, by the columns that they cover. */
const BLOCKS = [
  { subgroupsDown: 4, subgroupsAcross: 1, columns: 16 },
  { subgroupsDown: 4, subgroupsAcross: 1, columns: 32 },
  { subgroupsDown: 4, subgroupsAcross: 1, columns: 48 },
  { subgroupsDown: 2, subgroupsAcross: 2, columns: 32 },
  { subgroupsDown: 2, subgroupsAcross: 2, columns: 48 },
] as const;

/**
 * One candidate for each type of factors that the adapter has. With f16 only products without a gelu's slope and whose weights lie along
 * columns, which are those of the forward pass: gradients may be smaller than f16's smallest number, and nothing scales them here.
 */
export function matrixProducts(
  matrices: readonly SubgroupMatrix[] | undefined,
  variant: ProductVariant,
  { rows, columns, unitStride }: ProductShape,
): readonly Candidate[] {
  const { addressing, constant } = variant;
  if (!matrices || constant || (addressing !== 'rows' && addressing !== 'neighbours')) return [];
  return (['f32', 'f16'] as const).flatMap((input) => {
    if (input === 'f16' && (variant.slope || !unitStride)) return [];
    const tile = matrices.filter((matrix) => matrix.input === input).flatMap((matrix) => tileOf(matrix, columns))[0];
    if (!tile) return [];
    const { M, N, K } = tile.matrix;
    const [down, across] = [tile.subgroupsDown * MATRIX_ROWS, tile.subgroupsAcross * tile.columns];
    return [
      {
        name: `matrices ${M}x${N}x${K} of ${input}, ${down}x${across}x${tile.depth}`,
        tolerance: input === 'f16' ? ROUNDED_TO_F16 : REORDERED,
        choice(some = rows) {
          const [x, z] = foldWorkgroups(some, down);
          const workgroups = [x, Math.ceil(columns / across), z] as const;
          return { kernel: matrixProductKernel(variant, tile, unitStride), uniforms: {}, workgroups };
        },
      },
    ];
  });
}

/** Of f32 factors only: those of a gradient may be too small for f16. */
export function matrixWeightGradients(
  matrices: readonly SubgroupMatrix[] | undefined,
  variant: WeightGradientVariant,
  shape: WeightGradientShape,
): readonly Candidate<SplitChoice>[] {
  const matrix = matrices?.find(({ input }) => input === 'f32');
  const subgroupsDown = shape.inner <= MATRIX_ROWS ? 1 : 2;
  const tile = matrix && tileOf(matrix, shape.columns).map((t) => ({ ...t, subgroupsDown }))[0];
  if (!tile) return [];
  const { M, N, K } = tile.matrix;
  const block = { down: subgroupsDown * MATRIX_ROWS, across: tile.subgroupsAcross * tile.columns, depth: tile.depth };
  const blocks = {
    x: Math.ceil(shape.columns / block.across),
    y: Math.ceil(shape.inner / block.down) * shape.taps,
    depth: tile.depth,
  };
  const choice = (rows = shape.rows) => ({
    kernel: matrixWeightGradientKernel(variant, tile),
    uniforms: {},
    ...splitRows(blocks, USUAL_WORKGROUPS, { ...shape, rows }),
  });
  const name = `matrices ${M}x${N}x${K} of f32, ${block.down}x${block.across}x${block.depth}`;
  return [{ name, tolerance: REORDERED, choice }];
}

/** The widest block that wastes at most a fifth more columns than the best; none where the matrices do not divide one. */
function tileOf(matrix: SubgroupMatrix, columns: number): readonly MatrixTile[] {
  const { M, N, K } = matrix;
  const tiles = BLOCKS.flatMap((block): readonly MatrixTile[] => {
    if (MATRIX_ROWS % M !== 0 || block.columns % N !== 0) return [];
    const depths = [32, 16, 8].map((depth) => Math.max(K, depth - (depth % K)));
    const fitting = depths
      .map((depth) => ({ ...block, matrix, depth }))
      .filter((t) => matrixMemory(t) <= WORKGROUP_MEMORY);
    return fitting.slice(0, 1);
  });
  const padded = ({ subgroupsAcross, columns: ofSubgroup }: MatrixTile) => {
    const across = subgroupsAcross * ofSubgroup;
    return Math.ceil(columns / across) * across;
  };
  const most = 1.2 * Math.min(...tiles.map(padded));
  return tiles.filter((tile) => padded(tile) <= most).slice(-1);
}

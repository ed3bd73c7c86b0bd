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
import type { Target } from '../tape/op.ts';
import {
  type Candidate,
  REORDERED,
  type SplitChoice,
  splitRows,
  USUAL_WORKGROUPS,
  WORKGROUP_MEMORY,
  workgroupThreads,
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
 * Candidates for each type of factors that the adapter has. With f16 only products of maps that are stored as f16 anyway, and those without a
 * gelu's slope and whose weights lie along columns, which are the forward pass's: other gradients may be smaller than f16's smallest number,
 * and nothing scales them.
 */
export function matrixProducts(
  target: Target,
  variant: ProductVariant,
  { rows, columns, unitStride, vectors, half }: ProductShape,
): readonly Candidate[] {
  const { addressing, constant } = variant;
  const { matrices } = target;
  if (!matrices || constant || (addressing !== 'rows' && addressing !== 'neighbours')) return [];
  return (['f32', 'f16'] as const).flatMap((input) => {
    if (input === 'f16' && !half && (variant.slope || !unitStride)) return [];
    const tiles = tilesOf(matrices, input, columns).filter((tile) => threadsOf(tile) <= workgroupThreads(target));
    return tiles.map((tile) => {
      const [down, across] = [tile.subgroupsDown * MATRIX_ROWS, tile.subgroupsAcross * tile.columns];
      return {
        ...described(tile),
        choice(some = rows) {
          const workgroups = [Math.ceil(some / down), Math.ceil(columns / across), 1] as const;
          return { kernel: matrixProductKernel(variant, tile, unitStride, vectors), uniforms: {}, workgroups };
        },
      };
    });
  });
}

/** With f16 only of factors that are stored so: those of a gradient may be too small for f16. */
export function matrixWeightGradients(
  target: Target,
  variant: WeightGradientVariant,
  shape: WeightGradientShape,
): readonly Candidate<SplitChoice>[] {
  const { matrices } = target;
  const { inner, columns, taps, vectors, half } = shape;
  return (['f32', 'f16'] as const).flatMap((input) => {
    if (!matrices || (input === 'f16' && !half)) return [];
    const tiles = tilesOf(matrices, input, columns)
      .map((widest) => ({ ...widest, subgroupsDown: inner <= MATRIX_ROWS ? 1 : 2 }))
      .filter((tile) => threadsOf(tile) <= workgroupThreads(target));
    return tiles.map((tile) => {
      const [down, across] = [tile.subgroupsDown * MATRIX_ROWS, tile.subgroupsAcross * tile.columns];
      const blocks = { x: Math.ceil(columns / across), y: Math.ceil(inner / down) * taps, depth: tile.depth };
      return {
        ...described(tile),
        choice: (rows = shape.rows) => ({
          kernel: matrixWeightGradientKernel(variant, tile, vectors),
          uniforms: {},
          ...splitRows(blocks, USUAL_WORKGROUPS, { ...shape, rows }),
        }),
      };
    });
  });
}

function threadsOf({ subgroupsDown, subgroupsAcross, matrix }: MatrixTile): number {
  return subgroupsDown * subgroupsAcross * matrix.lanes;
}

function described({ matrix, subgroupsDown, subgroupsAcross, columns, depth }: MatrixTile) {
  const { input, M, N, K } = matrix;
  const block = `${subgroupsDown * MATRIX_ROWS}x${subgroupsAcross * columns}x${depth}`;
  return {
    name: `matrices ${M}x${N}x${K} of ${input}, ${block}`,
    tolerance: input === 'f16' ? ROUNDED_TO_F16 : REORDERED,
  };
}

/** Shapes of matrices that are tried of those an adapter has of one type: it lists some that differ little. */
const MOST_SHAPES = 2;

/** Of each shape the widest block. */
function tilesOf(matrices: readonly SubgroupMatrix[], input: SubgroupMatrix['input'], columns: number) {
  const ofInput = matrices.filter((matrix) => matrix.input === input);
  return ofInput.flatMap((matrix) => widestTile(matrix, columns)).slice(0, MOST_SHAPES);
}

/** The widest block that wastes at most a fifth more columns than the best; none where the matrices do not divide one. */
function widestTile(matrix: SubgroupMatrix, columns: number): readonly MatrixTile[] {
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

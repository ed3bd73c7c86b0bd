/**
 * How products are launched on real GPUs: tiles in workgroup memory. Which tile is best differs by a factor of two between GPUs, so
 * a few that fit a shape are offered to the tuner, the one that is good on most of them first.
 */

import type {
  ProductShape,
  ProductVariant,
  WeightGradientShape,
  WeightGradientVariant,
} from '../../shaders/gemm/family.ts';
import { tileProductKernel, tileWeightGradientKernel, type WorkgroupTile } from '../../shaders/gemm/tile.wgsl.ts';
import { PHASES } from '../../shaders/lib/rows.ts';
import { foldWorkgroups, type Target } from '../tape/op.ts';
import {
  type Candidate,
  type Choice,
  REORDERED,
  type SplitChoice,
  splitRows,
  USUAL_WORKGROUPS,
} from './gemm-choice.ts';
import { matrixProducts, matrixWeightGradients } from './gemm-matrices.ts';

/** For more than 32 columns. The first two are defaults: 8 × 8 results a thread, 128 and 96 threads. */
const WIDE: WorkgroupTile = { down: 128, across: 64, depth: 16, threadColumns: 8 };
const MIDDLE: WorkgroupTile = { down: 128, across: 48, depth: 16, threadColumns: 8 };
const SQUARE: WorkgroupTile = { down: 64, across: 64, depth: 16, threadColumns: 4 };
const BROAD: WorkgroupTile = { down: 128, across: 128, depth: 8, threadColumns: 8 };
const TALL: WorkgroupTile = { down: 256, across: 32, depth: 8, threadColumns: 8 };
/** For up to 32 columns, and up to 16. */
const NARROW: WorkgroupTile = { down: 128, across: 32, depth: 16, threadColumns: 4 };
const LOW: WorkgroupTile = { down: 64, across: 32, depth: 16, threadColumns: 4 };
const SLIM: WorkgroupTile = { down: 256, across: 16, depth: 8, threadColumns: 4 };
const THIN: WorkgroupTile = { down: 128, across: 16, depth: 16, threadColumns: 4 };

/** Candidates for one shape: more cost more of the tuner's time than they win. */
const MOST = 4;

function nameOf({ down, across, depth, threadColumns }: WorkgroupTile): string {
  return `${down}x${across}x${depth} by 8x${threadColumns}`;
}

/** Tiles for so many columns, the default first. Wasted columns cost in full, so tiles that waste over a third more than the best are left out. */
function tilesFor(columns: number): readonly WorkgroupTile[] {
  if (columns <= 16) return [SLIM, THIN];
  if (columns <= 32) return [NARROW, TALL, LOW];
  const padded = ({ across }: WorkgroupTile) => Math.ceil(columns / across) * across;
  const usual = padded(MIDDLE) < padded(WIDE) ? MIDDLE : WIDE;
  const tiles = [WIDE, SQUARE, BROAD, MIDDLE, TALL, NARROW].sort((a, b) => padded(a) - padded(b));
  const most = (padded(tiles[0]!) * 4) / 3;
  return [usual, ...tiles.filter((tile) => tile !== usual && padded(tile) <= most)].slice(0, MOST);
}

export function tileProducts({ matrices }: Target, variant: ProductVariant, shape: ProductShape): readonly Candidate[] {
  const { rows, columns, unitStride } = shape;
  const tiles = tilesFor(columns).map((tile) => ({
    name: nameOf(tile),
    tolerance: REORDERED,
    choice(some = rows): Choice {
      const [x, z] = foldWorkgroups(some, tile.down);
      const workgroups = [x, Math.ceil(columns / tile.across) * PHASES[variant.addressing], z] as const;
      return { kernel: tileProductKernel(variant, tile, unitStride), uniforms: {}, workgroups };
    },
  }));
  return [...tiles, ...matrixProducts(matrices, variant, shape)];
}

/** Blocks of the weight gradient, whose rows are input channels: 64, 128 and 32 threads, then 64 for oblong ones. */
const BLOCK: WorkgroupTile = { down: 64, across: 64, depth: 16, threadColumns: 8 };
const DENSE: WorkgroupTile = { down: 64, across: 64, depth: 16, threadColumns: 4 };
const SMALL: WorkgroupTile = { down: 32, across: 32, depth: 16, threadColumns: 4 };
const UPRIGHT: WorkgroupTile = { down: 64, across: 32, depth: 16, threadColumns: 4 };
const FLAT: WorkgroupTile = { down: 32, across: 64, depth: 16, threadColumns: 4 };

/** Fewer leave less to add up, more hide more latency. */
const FEW_WORKGROUPS = 256;
const MANY_WORKGROUPS = 4096;

export function tileWeightGradients(
  { matrices }: Target,
  variant: WeightGradientVariant,
  shape: WeightGradientShape,
): readonly Candidate<SplitChoice>[] {
  const { inner, columns } = shape;
  const isSmall = columns <= 32 || inner <= 32;
  const usual = isSmall ? SMALL : BLOCK;
  const other = !isSmall ? DENSE : inner > 32 ? UPRIGHT : columns > 32 ? FLAT : undefined;
  const ways: (readonly [WorkgroupTile, number])[] = [
    [usual, USUAL_WORKGROUPS],
    ...(other ? [[other, USUAL_WORKGROUPS] as const] : []),
    [usual, MANY_WORKGROUPS],
    [usual, FEW_WORKGROUPS],
  ];
  const splits = new Set<string>();
  const tiles = ways.flatMap(([tile, workgroups]) => {
    const cut = (rows: number) => splitRows(tile, workgroups, { ...shape, rows });
    const name = `${nameOf(tile)}, ${workgroups} workgroups`;
    const same = `${nameOf(tile)} ${cut(shape.rows).splits}`;
    if (splits.has(same)) return []; // as few rows as that are cut alike
    splits.add(same);
    const choice = (rows = shape.rows) => ({
      kernel: tileWeightGradientKernel(variant, tile),
      uniforms: {},
      ...cut(rows),
    });
    return [{ name, tolerance: REORDERED, choice }];
  });
  return [...tiles, ...matrixWeightGradients(matrices, variant, shape)];
}

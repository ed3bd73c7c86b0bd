/**
 * Which algorithm a 3³ convolution takes: the sum over its taps (`conv3`) or Winograd's (`winogradConv3`), with tiles of one size or another; and which
 * one its composition with what comes before takes (`upConv3`, `densifyConv3`).
 */

import { pointsOfTile, type Tile } from '../../shaders/lib/winograd.ts';
import type { Target } from '../tape/op.ts';
import type { Tensor } from '../tape/tensor.ts';

export interface ConvolutionShape {
  /** What it is composed with. */
  readonly after?: 'up' | 'densify';
  /** Voxels of the map that it reads, without hidden ones. */
  readonly rows: number;
  readonly inner: number;
  readonly columns: number;
  /** Of that map's bricks. */
  readonly edge: number;
}

/** @param x [bricks, edge³, K] @param weight [27, K, N], or after an upsampling to M channels [27, M, N] */
export function convolutionShape(x: Tensor, weight: Tensor, after?: ConvolutionShape['after']): ConvolutionShape {
  const edge = Math.round(Math.cbrt(x.shape[1]!));
  return { after, rows: x.rows, inner: x.channels, columns: weight.channels, edge };
}

/** Multiply-adds of the sum over its taps. */
export function productsOf({ after, rows, inner, columns }: ConvolutionShape): number {
  return (after === 'up' ? 64 : 27) * rows * inner * columns;
}

/** Names a convolution in a tuning. */
export function keyOfConvolution({ after, rows, inner, columns, edge }: ConvolutionShape): string {
  return `convolution${after ? ` after=${after}` : ''} rows=${rows} inner=${inner} columns=${columns} edge=${edge}`;
}

export interface Algorithm {
  /** As a tuning names it. */
  readonly name: string;
  /** Of Winograd's. */
  readonly tile?: Tile;
}

const winograd = (...tile: Tile): Algorithm => ({ name: `winograd ${tile.join('x')}`, tile });
const DIRECT: Algorithm = { name: 'direct' };
/** The larger tile has fewer products and smaller transforms, and needs more registers. */
const WINOGRAD = [winograd(2, 4, 4), winograd(2, 2, 2)] as const;
const UP = [winograd(2, 4, 4)] as const;

/** Matrices that the weight becomes. */
function pointsOf({ after }: ConvolutionShape, tile: Tile): number {
  return after === 'up' ? 8 * pointsOfTile(tile, 2) : pointsOfTile(tile, 3);
}

/** Bytes that a binding may have. */
export function largestBinding({ limits }: Target): number {
  return limits?.maxStorageBufferBindingSize ?? 128 * 1024 * 1024; // WebGPU's default, which every adapter has
}

/** Those that a convolution can take, the default first: what was measured here, or else what is known of the class of adapter. */
export function algorithmsFor(target: Target, shape: ConvolutionShape): readonly Algorithm[] {
  // Tiles do not cross a brick's face, and the points of the weight must fit a binding.
  const most = largestBinding(target) / (4 * shape.inner * shape.columns);
  const fitting = (shape.after === 'up' ? UP : WINOGRAD).filter(
    ({ tile }) => Math.max(...tile!) <= shape.edge && pointsOf(shape, tile!) <= most,
  );
  const all = [...fitting, DIRECT];
  const tuned = target.tuning?.[keyOfConvolution(shape)];
  const first = all.find(({ name }) => name === tuned) ?? all.find(({ tile }) => !tile || pays(target, shape, tile))!;
  return [first, ...all.filter((algorithm) => algorithm !== first)];
}

/** The tile of Winograd's algorithm where it is to be used. @param forced whether it is wherever it can be, or nowhere */
export function winogradTile(target: Target, shape: ConvolutionShape, forced?: boolean): Tile | undefined {
  if (forced === false) return undefined;
  const algorithms = algorithmsFor(target, shape);
  return (forced ? algorithms.find(({ tile }) => tile) : algorithms[0])?.tile;
}

/**
 * What Winograd's transforms cost beside what it saves: those of maps shrink with channels, for each value meets them all, those of weights with
 * rows. Measured forward and backward (`npm run bench -- savings`): from a cost of 1 down it is 1.05 to 2.8 times as fast as the sum over taps on
 * SwiftShader (4 lanes) and lavapipe (8), and at 2 no faster; on an H100 2 to 4 times by the large tile and 1.2 to 2.7 times by the small one,
 * after an upsampling 1.8 to 2.7 times.
 */
function pays(target: Target, shape: ConvolutionShape, tile: Tile): boolean {
  const { rows, inner, columns } = shape;
  const cost = costsOn(target, shape, tile);
  return cost !== undefined && (cost.maps * (inner + columns)) / (inner * columns) + cost.weights / rows <= 1;
}

function costsOn({ class: kind, subgroupSize }: Target, { after }: ConvolutionShape, tile: Tile) {
  const isLarge = pointsOfTile(tile, 3) > 64;
  // What is hidden costs the sum over taps little on software adapters; on a GPU only the tuner has timed it.
  if (after === 'densify') return undefined;
  if (kind === 'gpu') {
    if (after === 'up') return { maps: 20, weights: 1000 };
    return isLarge ? { maps: 10, weights: 400 } : { maps: 20, weights: 400 };
  }
  if (kind !== 'software-subgroups') return undefined;
  if (subgroupSize >= 8) return isLarge ? { maps: 13, weights: 800 } : { maps: 32, weights: 250 };
  if (after === 'up') return { maps: 4.5, weights: 800 };
  return isLarge ? { maps: 4.5, weights: 500 } : { maps: 16, weights: 170 };
}

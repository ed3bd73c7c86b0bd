/** Which algorithm a 3³ convolution takes: the sum over its taps (`conv3`) or Winograd's (`winogradConv3`). */

import type { Target } from '../tape/op.ts';

export interface ConvolutionShape {
  /** Voxels of the map. */
  readonly rows: number;
  readonly inner: number;
  readonly columns: number;
  /** Of the map's bricks. */
  readonly edge: number;
}

/** As a tuning names them; the default first. */
export const ALGORITHMS = ['direct', 'winograd'] as const;
export type Algorithm = (typeof ALGORITHMS)[number];

/** Names a convolution in a tuning. */
export function keyOfConvolution({ rows, inner, columns, edge }: ConvolutionShape): string {
  return `convolution rows=${rows} inner=${inner} columns=${columns} edge=${edge}`;
}

/** Cubes of 2³ voxels do not cross a brick's face. */
export function canUseWinograd({ edge }: ConvolutionShape): boolean {
  return edge >= 2;
}

/** What was measured on this adapter; where nothing was, what is known of its class, which of GPUs is nothing. */
export function usesWinograd(target: Target, shape: ConvolutionShape): boolean {
  if (!canUseWinograd(shape)) return false;
  const tuned = target.tuning?.[keyOfConvolution(shape)];
  if (tuned !== undefined) return tuned === ('winograd' satisfies Algorithm);
  return target.class === 'software-subgroups' && paysInSoftware(target.subgroupSize, shape);
}

/**
 * What Winograd's transforms cost beside what it saves: those of maps shrink with channels, for each value meets them all, those of weights with
 * rows. Measured on lavapipe (8 lanes) and SwiftShader (4), forward and backward (`npm run bench -- savings`): at a cost of 1 or less it is 1.1 to
 * 2.2 times as fast as the sum over taps, at 2 0.7 to 1.1 times.
 */
function paysInSoftware(lanes: number, { rows, inner, columns }: ConvolutionShape): boolean {
  const [ofMaps, ofWeights] = lanes >= 8 ? [32, 250] : [16, 170];
  return (ofMaps * (inner + columns)) / (inner * columns) + ofWeights / rows <= 1;
}

/** What a HySparK network can be configured to: the paper's presets, and every number of them free within checked bounds. */

import { BrickGrid, PATCH } from '../../bricks/grid.ts';
import { visibleCount } from '../../bricks/mask.ts';
import { HysparkError } from '../../errors.ts';

type Five = readonly [number, number, number, number, number];

export interface HySparkConfig {
  /** Voxels on a side of the crop, a multiple of 16. */
  readonly crop: number;
  /** Channels of the five encoder stages. */
  readonly channels: Five;
  /** MedNeXt blocks of each stage. */
  readonly blocks: Five;
  /** Expansion of each stage's blocks. */
  readonly expansion: Five;
  readonly vitDepth: number;
  readonly heads: number;
  /** Decoder width at the coarsest scale, halved at each finer one. */
  readonly width: number;
  /** Share of patches hidden. */
  readonly maskRatio: number;
}

const REFERENCE = { blocks: [1, 1, 3, 3, 1], expansion: [2, 4, 4, 4, 2], vitDepth: 3, maskRatio: 0.75 } as const;

/** `base` is the paper's HySparK-B; `small` a third of its channels; `tiny` for software adapters, demos and tests. */
export const PRESETS = {
  tiny: {
    crop: 48,
    channels: [4, 8, 16, 32, 48],
    blocks: [1, 1, 2, 2, 1],
    expansion: [2, 4, 4, 4, 2],
    vitDepth: 2,
    heads: 4,
    width: 96,
    maskRatio: 0.75,
  },
  small: { crop: 96, channels: [12, 24, 48, 84, 120], heads: 6, width: 256, ...REFERENCE },
  base: { crop: 96, channels: [32, 64, 128, 256, 384], heads: 12, width: 768, ...REFERENCE },
} as const satisfies Record<string, HySparkConfig>;

export type PresetName = keyof typeof PRESETS;

/** Throws `bad-argument` with what is wrong and what is needed; returns the configuration. */
export function checkConfig(config: HySparkConfig): HySparkConfig {
  const { crop, channels, blocks, expansion, vitDepth, heads, width, maskRatio } = config;
  const grid = BrickGrid.ofCrop(crop);
  visibleCount(grid.cells, maskRatio);
  if (maskRatio === 0) fail('mask ratio', maskRatio, 'above 0 and below 1: pre-training reconstructs hidden patches');
  const positive = (name: string, values: readonly number[], count: number) => {
    if (values.length !== count || !values.every((n) => Number.isInteger(n) && n >= 1)) {
      fail(name, `[${values.join(', ')}]`, `${count} whole numbers from 1`);
    }
  };
  positive('channels', channels, 5);
  positive('blocks', blocks, 5);
  positive('expansion', expansion, 5);
  positive('ViT depth, heads and decoder width', [vitDepth, heads, width], 3);
  const tokens = channels[4];
  if (tokens % 6 !== 0) fail('channels of the last stage', tokens, 'a multiple of 6, for the position table');
  if (tokens % heads !== 0) fail('channels of the last stage', tokens, `a multiple of the ${heads} heads`);
  if (width % PATCH !== 0) fail('decoder width', width, `a multiple of ${PATCH}: it is halved four times`);
  return config;
}

function fail(what: string, got: unknown, need: string): never {
  throw new HysparkError('bad-argument', { doing: `HySparK configuration: ${what}`, got: String(got), need });
}

/**
 * The hybrid encoder: five stages of MedNeXt blocks on the bricks of a table, then a small transformer on the last stage's
 * one-voxel bricks. On the visible bricks it is the sparse encoder of pre-training, on all bricks the dense one.
 */

import type { BrickGrid } from '../../bricks/grid.ts';
import type { BrickTable } from '../../bricks/table.ts';
import { MedNeXtBlock, TransformerBlock } from '../../nn/blocks.ts';
import type { Declarations } from '../../nn/declare.ts';
import { Conv3, type Conv3Options, LayerNorm } from '../../nn/layers.ts';
import { maxPool } from '../../ops/max-pool.ts';
import { positionAdd } from '../../ops/position-add.ts';
import type { Tape } from '../../tape/tape.ts';
import type { Tensor } from '../../tape/tensor.ts';
import type { HySparkConfig } from './config.ts';
import { positionTable } from './positions.ts';

export interface EncoderFeatures {
  readonly stem: Tensor;
  /** Output of each stage's blocks. */
  readonly stages: readonly Tensor[];
  /** x1..x5: the widened maps at strides 1, 2, 4, 8, and the last stage at stride 16. */
  readonly features: readonly Tensor[];
  /** [bricks, 1, C]: the transformer's tokens. */
  readonly tokens: Tensor;
}

export class HySparKEncoder {
  private readonly stem: Conv3;
  private readonly stages: readonly (readonly MedNeXtBlock[])[];
  private readonly widen: readonly Conv3[];
  private readonly positions: Tensor;
  private readonly blocks: readonly TransformerBlock[];
  private readonly norm: LayerNorm;

  constructor(declare: Declarations, config: HySparkConfig, grid: BrickGrid) {
    const { channels, blocks, expansion, vitDepth, heads } = config;
    this.stem = new Conv3(declare, 'stem', 1, channels[0]);
    this.stages = channels.map((width, s) =>
      Array.from(
        { length: blocks[s]! },
        (_, b) => new MedNeXtBlock(declare, `stage${s + 1}.${b}`, width, expansion[s]!),
      ),
    );
    this.widen = [1, 2, 3, 4].map((s) => new Conv3(declare, `widen${s}`, channels[s - 1]!, channels[s]!));
    const values = () => positionTable(grid, channels[4]);
    this.positions = declare.state('vit.positions', [grid.cells, channels[4]], { kind: 'table', values });
    this.blocks = Array.from(
      { length: vitDepth },
      (_, b) => new TransformerBlock(declare, `vit.${b}`, channels[4], heads),
    );
    this.norm = new LayerNorm(declare, 'vit.norm', channels[4], 1e-5);
  }

  /** @param image [bricks, 16³, 1], in 0..1: the bricks of `table`. */
  apply(tape: Tape, image: Tensor, table: BrickTable, options: Pick<Conv3Options, 'winograd'> = {}): EncoderFeatures {
    const stem = tape.scope('stem', () => this.stem.apply(tape, image, table, options));
    const stages: Tensor[] = [];
    const features: Tensor[] = [];
    let x = stem;
    this.stages.forEach((blocks, s) => {
      tape.scope(`stage${s + 1}`, () => {
        for (const block of blocks) x = block.apply(tape, x, table);
        stages.push(x);
        if (s === 4) return;
        features.push(this.widen[s]!.apply(tape, x, table, options));
        x = maxPool(tape, { x: features[s]! }, undefined);
      });
    });
    features.push(x);
    const tokens = tape.scope('vit', () => {
      let t = positionAdd(tape, { x, positions: this.positions }, table);
      for (const block of this.blocks) t = block.apply(tape, t, table.batch);
      return this.norm.apply(tape, t);
    });
    return { stem, stages, features, tokens };
  }
}

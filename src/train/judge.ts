/** Judging a run: the fixed crops of held-out scans under fixed masks, their losses, and pictures of them. */

import type { LoaderService } from '../data/worker/loader-service.ts';
import type { Bytes } from '../formats/bytes.ts';
import { reconstructionPanels } from '../formats/panels.ts';
import { baselines, verdict } from './baselines.ts';
import type { Trainer } from './trainer.ts';
import type { Baselines, CollectionReport, Evaluation, MetricsRow, Preview, Verdict } from './types.ts';

interface FixedCrop {
  readonly voxels: Float32Array<ArrayBuffer>;
  /** Content hash of its scan. */
  readonly scan: string;
}

export class Judge {
  lines: Baselines | undefined;
  /** The crop that pictures are made of: the one with the most contrast. */
  readonly shown: number;

  private constructor(
    private readonly crops: readonly FixedCrop[],
    private readonly heldOut: boolean,
    private readonly trainer: Trainer,
  ) {
    const spread = crops.map(({ voxels }) => deviation(voxels));
    this.shown = spread.indexOf(Math.max(...spread));
  }

  /** Draws the crops, spread evenly over the held-out scans; with none held out, over the training scans. */
  static async open(
    loader: LoaderService,
    { training, heldOut }: Pick<CollectionReport, 'training' | 'heldOut'>,
    trainer: Trainer,
  ): Promise<Judge> {
    const scans = heldOut.length > 0 ? heldOut : training;
    const wanted = trainer.config.evaluationCrops;
    const crops: FixedCrop[] = [];
    for (let i = 0; i < scans.length && crops.length < wanted; i++) {
      const count = Math.ceil((wanted - crops.length) / (scans.length - i));
      for (const { voxels } of await loader.evaluationCrops(i, count)) crops.push({ voxels, scan: scans[i]! });
    }
    return new Judge(crops, heldOut.length > 0, trainer);
  }

  /** The baselines, from the run's metrics where they are known already. */
  async judgeBaselines(rows: readonly MetricsRow[]): Promise<Baselines | undefined> {
    const known = rows.find((row) => row.kind === 'baselines');
    if (known) this.lines = { patchMean: known.patchMean, smoothFill: known.smoothFill };
    else if (this.crops.length > 0) {
      const judged = this.crops.map(({ voxels }, i) => ({ volume: voxels, visible: this.trainer.fixedMask(i) }));
      this.lines = await baselines(judged, this.trainer.config.model.crop);
    }
    return this.lines;
  }

  /** Undefined where every held-out scan was set aside. */
  async evaluate(trainer: Trainer, step: number): Promise<Evaluation | undefined> {
    if (this.crops.length === 0) return undefined;
    const perCrop: number[] = [];
    for (const [i, { voxels }] of this.crops.entries())
      perCrop.push(await trainer.viewer.loss(voxels, trainer.fixedMask(i)));
    return { step, loss: perCrop.reduce((a, b) => a + b, 0) / perCrop.length, perCrop };
  }

  get count(): number {
    return this.crops.length;
  }

  async picture(trainer: Trainer, index: number, step: number): Promise<Preview | undefined> {
    const fixed = this.crops[index];
    if (!fixed) return undefined;
    const { loss, masked, reconstructed } = await trainer.viewer.look(fixed.voxels, trainer.fixedMask(index));
    return {
      step,
      index,
      count: this.crops.length,
      scan: fixed.scan,
      heldOut: this.heldOut,
      crop: trainer.config.model.crop,
      original: fixed.voxels.slice(),
      masked,
      reconstructed,
      loss,
    };
  }

  latest(rows: readonly MetricsRow[]): Evaluation | undefined {
    return evaluationsOf(rows).at(-1);
  }

  verdict(rows: readonly MetricsRow[]): Verdict {
    return verdict(evaluationsOf(rows), this.lines);
  }
}

/** The picture of a preview: original, masked, reconstructed, error, in three planes. */
export function previewPng({
  original,
  masked,
  reconstructed,
  crop,
  step,
  loss,
}: Pick<Preview, 'original' | 'masked' | 'reconstructed' | 'crop' | 'step' | 'loss'>): Bytes {
  return reconstructionPanels(
    { original, masked, reconstructed, window: [0, 1] },
    { size: [crop, crop, crop], caption: `step ${step}   loss ${loss.toFixed(4)}` },
  );
}

export function evaluationsOf(rows: readonly MetricsRow[]): Evaluation[] {
  return rows.flatMap((row) => (row.kind === 'evaluation' ? [row] : []));
}

function deviation(voxels: Float32Array): number {
  let [sum, squares] = [0, 0];
  for (const v of voxels) {
    sum += v;
    squares += v * v;
  }
  return squares / voxels.length - (sum / voxels.length) ** 2;
}

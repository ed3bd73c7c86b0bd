/**
 * The GPU's side of a run: steps, judgements, pictures. It knows nothing of scans, folders or time; `run.ts` does. Steps are submitted
 * ahead and their losses read late, so that the GPU does not wait for JavaScript.
 */

import { PATCH } from '../bricks/grid.ts';
import { allVisible, randomMasks } from '../bricks/mask.ts';
import { brickTableData, writeBrickTable } from '../bricks/table.ts';
import { HysparkError } from '../errors.ts';
import type { Device } from '../gpu/device.ts';
import type { HySparK, HySparKGraph } from '../models/hyspark/hyspark.ts';
import { adamwSchedule } from '../ops/adamw.ts';
import { Random } from '../random.ts';
import { compile, type Plan } from '../tape/plan.ts';
import { scheduleOf } from './config.ts';
import { planRun, type RunNetwork, recordRun } from './network.ts';
import { scheduleAt } from './schedule.ts';
import type { PlanReport, RunConfig } from './types.ts';

export interface StepLosses {
  /** Mean over the step's passes. */
  readonly loss: number;
  readonly gradientNorm: number;
}

/** Passes under way at once: one less than a plan's ring. */
const AHEAD = 3;

export class Trainer {
  /** Milliseconds in which nothing was under way although a step could have been. */
  idleMs = 0;
  private idleSince: number | undefined;
  private readonly underWay: Promise<unknown>[] = [];
  private judging: Promise<unknown> = Promise.resolve();

  private constructor(
    readonly device: Device,
    readonly config: RunConfig,
    readonly plan: PlanReport,
    private readonly network: RunNetwork,
    private readonly plans: { readonly pass: Plan; readonly update: Plan; readonly judge: Plan },
  ) {}

  /**
   * Builds plans and memory; weights are drawn from the seed. Errors: `exceeds-limits` when the plan does not fit the adapter,
   * `gpu-out-of-memory` when the device has less than it needs.
   */
  static async create(device: Device, config: RunConfig): Promise<Trainer> {
    const report = planRun(config, device.report);
    if (!report.fits) throw new HysparkError('exceeds-limits', { doing: report.reason!.replace(/\.$/, '') });
    const network = recordRun(config, device.report);
    const { variables, pass, update, judge, model } = network;
    await variables.allocate(device, true);
    const made: Plan[] = [];
    try {
      const build = async (tape: typeof pass.tape, recompute = false) => {
        const plan = await compile(device, tape, variables, { recompute });
        made.push(plan);
        return plan;
      };
      const passPlan = await build(pass.tape, config.recompute);
      const updatePlan = update.tape === pass.tape ? passPlan : await build(update.tape);
      const judgePlan = await build(judge.tape);
      model.declare.initialise(config.seed);
      return new Trainer(device, config, report, network, { pass: passPlan, update: updatePlan, judge: judgePlan });
    } catch (error) {
      for (const plan of made) plan.destroy();
      variables.destroy();
      throw error;
    }
  }

  /** Puts weights, statistics and moments back to the start of the run. */
  begin(): void {
    this.model.declare.initialise(this.config.seed);
    this.forgetMoments();
  }

  /** The optimiser begins anew. */
  forgetMoments(): void {
    const { variables } = this.network;
    for (const { firstMoments, secondMoments } of variables.chunks()) {
      for (const moments of [firstMoments, secondMoments]) variables.write(moments, new Float32Array(moments.size));
    }
  }

  get model(): HySparK {
    return this.network.model;
  }

  /**
   * Submits step number `step` (from 0) on its passes' volumes, each [batch, crop, crop, crop]. Resolves once it is submitted, with a
   * promise of its losses in `losses`. Masks follow from the seed and the step.
   */
  async submit(step: number, volumes: readonly Float32Array[]): Promise<{ readonly losses: Promise<StepLosses> }> {
    const { config, network, plans } = this;
    const { pass, update } = network;
    const { batch, accumulate, model, seed } = config;
    const rates = scheduleAt(scheduleOf(config), step);
    const schedule = adamwSchedule(step + 1, rates.learningRate, rates.weightDecay);
    const results: Promise<Float32Array[]>[] = [];
    for (const [n, volume] of volumes.entries()) {
      await this.room();
      const masks = randomMasks(seed, step * accumulate + n, batch, this.model.grid.cells, model.maskRatio);
      this.feed(plans.pass, pass.graph, volume, masks);
      if (pass.keep) plans.pass.write(pass.keep, Float32Array.of(n === 0 ? 0 : 1));
      else plans.update.write(update.schedule, schedule);
      results.push(this.follow(plans.pass.step()));
    }
    if (pass.keep) {
      plans.update.write(update.schedule, schedule);
      results.push(this.follow(plans.update.step()));
    }
    const losses = Promise.all(results).then((reports) => {
      const sum = reports.slice(0, accumulate).reduce((s, [loss]) => s + loss![0]!, 0);
      return { loss: sum / accumulate, gradientNorm: reports.at(-1)!.at(-1)![0]! };
    });
    losses.catch(() => undefined); // whoever awaits it hears of it
    return { losses };
  }

  /** Waits until nothing is under way. Time until the next step does not count as waiting. */
  async drain(): Promise<void> {
    while (this.underWay.length > 0) await this.underWay[0]!.catch(() => undefined);
    await this.judging.catch(() => undefined);
    this.idleSince = undefined;
    this.device.check();
  }

  /** The loss of one crop [crop, crop, crop] under mask number `mask` of this run's fixed ones. */
  judge(volume: Float32Array, mask: number): Promise<number> {
    return this.alone(async () => (await this.judgeNow(volume, mask)).loss);
  }

  /** As `judge`, with volumes to look at. */
  picture(volume: Float32Array, mask: number): Promise<{ loss: number; masked: Volume; reconstructed: Volume }> {
    return this.alone(async () => {
      const { loss, visible } = await this.judgeNow(volume, mask);
      const bricks = await this.plans.judge.read(this.network.judge.restored);
      const { crop } = this.config.model;
      return { loss, masked: hide(volume, crop, visible), reconstructed: fromBricks(bricks, crop) };
    });
  }

  /** Cells that mask number `mask` of the fixed ones leaves visible, ascending. */
  fixedMask(mask: number): Uint32Array {
    const { seed, model } = this.config;
    // Steps count from 0, so these streams belong to no step.
    return randomMasks(seed, -1 - mask, 1, this.model.grid.cells, model.maskRatio)[0]!;
  }

  destroy(): void {
    for (const plan of new Set(Object.values(this.plans))) plan.destroy();
    this.network.variables.destroy();
  }

  private async judgeNow(volume: Float32Array, mask: number): Promise<{ loss: number; visible: Uint32Array }> {
    const visible = this.fixedMask(mask);
    this.feed(this.plans.judge, this.network.judge.graph, volume, [visible]);
    const [loss] = await this.plans.judge.step();
    return { loss: loss![0]!, visible };
  }

  private feed(plan: Plan, graph: HySparKGraph, volume: Float32Array, visible: readonly Uint32Array[]): void {
    const { grid } = this.model;
    writeBrickTable(plan, graph.visible, brickTableData(grid, visible));
    writeBrickTable(plan, graph.all, brickTableData(grid, allVisible(visible.length, grid.cells)));
    plan.write(graph.volume, volume);
  }

  /** Until one more pass may be submitted. */
  private async room(): Promise<void> {
    while (this.underWay.length >= AHEAD) await this.underWay[0]!.catch(() => undefined);
    this.device.check();
    if (this.underWay.length === 0 && this.idleSince !== undefined) this.idleMs += performance.now() - this.idleSince;
    this.idleSince = undefined;
  }

  private follow(result: Promise<Float32Array[]>): Promise<Float32Array[]> {
    this.underWay.push(result);
    const done = () => {
      this.underWay.splice(this.underWay.indexOf(result), 1);
      if (this.underWay.length === 0) this.idleSince = performance.now();
    };
    result.then(done, done);
    return result;
  }

  /** The judging plan has one set of inputs, so its users take turns. */
  private alone<T>(work: () => Promise<T>): Promise<T> {
    const result = this.judging.then(work, work);
    this.judging = result;
    result.catch(() => undefined);
    return result;
  }
}

type Volume = Float32Array<ArrayBuffer>;

/** Rows of the full list of bricks, [cells, 16³], as a volume [crop, crop, crop]; both run x, y, z with z fastest. */
function fromBricks(bricks: Float32Array, crop: number): Volume {
  const volume = new Float32Array(crop ** 3);
  eachVoxel(crop, (at, cell, within) => {
    volume[at] = bricks[cell * PATCH ** 3 + within]!;
  });
  return volume;
}

function hide(volume: Float32Array, crop: number, visible: Uint32Array): Volume {
  const masked = new Float32Array(volume.length).fill(Number.NaN);
  const seen = new Set(visible);
  eachVoxel(crop, (at, cell) => {
    if (seen.has(cell)) masked[at] = volume[at]!;
  });
  return masked;
}

/** Calls `visit(index in the volume, cell, index in the cell's brick)` for every voxel of a cubic crop. */
export function eachVoxel(crop: number, visit: (at: number, cell: number, within: number) => void): void {
  const across = crop / PATCH;
  let at = 0;
  for (let x = 0; x < crop; x++) {
    for (let y = 0; y < crop; y++) {
      const row = ((x >> 4) * across + (y >> 4)) * across;
      const inside = ((x & 15) * PATCH + (y & 15)) * PATCH;
      for (let z = 0; z < crop; z++) visit(at++, row + (z >> 4), inside + (z & 15));
    }
  }
}

/** Seconds of a step over a few of them on noise, after two to warm up. */
export async function measureRun(
  device: Device,
  config: RunConfig,
): Promise<{ readonly cropsPerSecond: number; readonly secondsPerStep: number }> {
  const trainer = await Trainer.create(device, config);
  try {
    const noise = Random.of(config.seed, 'measure');
    const volume = Float32Array.from({ length: config.batch * config.model.crop ** 3 }, (_, i) => noise.uniform(i));
    const volumes = Array.from({ length: config.accumulate }, () => volume);
    const take = async (first: number, end: number) => {
      for (let step = first; step < end; step++) await trainer.submit(step % config.steps, volumes);
      await trainer.drain();
    };
    await take(0, 2);
    const began = performance.now();
    await take(2, 2 + MEASURED);
    const secondsPerStep = (performance.now() - began) / 1000 / MEASURED;
    return { secondsPerStep, cropsPerSecond: (config.batch * config.accumulate) / secondsPerStep };
  } finally {
    trainer.destroy();
  }
}

const MEASURED = 4;

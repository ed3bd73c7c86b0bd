/**
 * The GPU's side of a run. It knows nothing of scans, folders or time; `run.ts` does. Steps are submitted
 * ahead and their losses read late, so that the GPU does not wait for JavaScript.
 */

import { allVisible, randomMasks } from '../bricks/mask.ts';
import { brickTableData, writeBrickTable } from '../bricks/table.ts';
import { HysparkError } from '../errors.ts';
import type { Device } from '../gpu/device.ts';
import type { HySparK, HySparKGraph } from '../models/hyspark/hyspark.ts';
import { adamwSchedule } from '../ops/adamw.ts';
import { FIRST_LOSS_SCALE, type LossScale } from '../ops/loss-scale.ts';
import { Random } from '../random.ts';
import type { Tuning } from '../tape/op.ts';
import { compile, type Plan } from '../tape/plan.ts';
import type { Tape } from '../tape/tape.ts';
import { scheduleOf } from './config.ts';
import { planRun, type RunNetwork, recordRun } from './network.ts';
import { scheduleAt } from './schedule.ts';
import type { PlanReport, RunConfig } from './types.ts';
import { Viewer } from './viewer.ts';

export interface StepLosses {
  /** Mean over the step's passes. */
  readonly loss: number;
  /** Infinite where the step was left out because a gradient overflowed. */
  readonly gradientNorm: number;
  /** That the step was computed with; mixed precision only. */
  readonly lossScale?: number;
}

/** Passes under way at once: one less than a plan's ring. */
const AHEAD = 3;

export class Trainer {
  /** Milliseconds in which nothing was under way although a step could have been. */
  idleMs = 0;
  private idleSince: number | undefined;
  private readonly underWay: Promise<unknown>[] = [];

  private constructor(
    readonly device: Device,
    readonly config: RunConfig,
    readonly plan: PlanReport,
    private readonly network: RunNetwork,
    private readonly plans: { readonly pass: Plan; readonly update: Plan },
    /** Looks at single crops with the weights of now. */
    readonly viewer: Viewer,
  ) {}

  /**
   * Builds plans and memory; weights are drawn from the seed. Errors: `exceeds-limits` when the plan does not fit the adapter,
   * `gpu-out-of-memory` when the device has less than it needs.
   * @param tuning kernels chosen by measuring (`chooseKernels`); without it the table's defaults
   * @param count told how many pipelines are built, and of how many
   */
  static async create(
    device: Device,
    config: RunConfig,
    tuning?: Tuning,
    count?: (done: number, of: number) => void,
  ): Promise<Trainer> {
    const target = { ...device.report, tuning };
    const report = planRun(config, target);
    if (!report.fits) throw new HysparkError('exceeds-limits', { doing: report.reason!.replace(/\.$/, '') });
    const network = recordRun(config, target);
    const { variables, pass, update, judge, model } = network;
    await variables.allocate(device, true);
    const made: (Plan | Viewer)[] = [];
    try {
      await buildKernels(device, [pass.tape, update.tape, judge.tape], count);
      const build = async (tape: typeof pass.tape, recompute = false) => {
        const plan = await compile(device, tape, variables, { recompute });
        made.push(plan);
        return plan;
      };
      const passPlan = await build(pass.tape, config.recompute);
      const updatePlan = update.tape === pass.tape ? passPlan : await build(update.tape);
      const viewer = await Viewer.create(device, model, judge);
      made.push(viewer);
      const trainer = new Trainer(device, config, report, network, { pass: passPlan, update: updatePlan }, viewer);
      trainer.begin();
      return trainer;
    } catch (error) {
      for (const each of made) each.destroy();
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
    this.setLossScale(undefined);
    const { variables } = this.network;
    for (const { firstMoments, secondMoments } of variables.chunks()) {
      for (const moments of [firstMoments, secondMoments]) variables.write(moments, new Float32Array(moments.size));
    }
  }

  /** Of the next step; undefined unless precision is mixed. No step may be under way. */
  async lossScale(): Promise<LossScale | undefined> {
    const { lossScale, variables } = this.network;
    if (!lossScale) return undefined;
    const [scale, goodSteps] = await variables.read(lossScale);
    return [scale!, goodSteps!];
  }

  /** As a checkpoint has it; that of a run in float32 has none. */
  setLossScale(value: LossScale = [FIRST_LOSS_SCALE, 0]): void {
    const { lossScale, variables } = this.network;
    if (lossScale) variables.write(lossScale, Float32Array.from(value));
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
      const [gradientNorm, , lossScale] = reports.at(-1)!.at(-1)!;
      return { loss: sum / accumulate, gradientNorm: gradientNorm!, lossScale };
    });
    losses.catch(() => undefined); // whoever awaits it hears of it
    return { losses };
  }

  /** Waits until nothing is under way. Time until the next step does not count as waiting. */
  async drain(): Promise<void> {
    while (this.underWay.length > 0) await this.underWay[0]!.catch(() => undefined);
    await this.viewer.idle();
    this.idleSince = undefined;
    this.device.check();
  }

  /** Cells that mask number `mask` of the fixed ones leaves visible, ascending. */
  fixedMask(mask: number): Uint32Array {
    const { seed, model } = this.config;
    // Steps count from 0, so these streams belong to no step.
    return randomMasks(seed, -1 - mask, 1, this.model.grid.cells, model.maskRatio)[0]!;
  }

  destroy(): void {
    for (const plan of new Set(Object.values(this.plans))) plan.destroy();
    this.viewer.destroy();
    this.network.variables.destroy();
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
}

/** Builds the kernels of plans ahead of them. */
async function buildKernels(
  device: Device,
  tapes: readonly Tape[],
  count?: (done: number, of: number) => void,
): Promise<void> {
  const kernels = new Map(tapes.flatMap((tape) => tape.dispatches).map(({ kernel }) => [kernel.id, kernel]));
  let done = 0;
  await Promise.all(
    [...kernels.values()].map(async (kernel) => {
      await device.compile(kernel);
      count?.(++done, kernels.size);
    }),
  );
}

/** Seconds of a step over a few of them on noise, after two to warm up. */
export async function measureRun(
  device: Device,
  config: RunConfig,
  tuning?: Tuning,
): Promise<{ readonly cropsPerSecond: number; readonly secondsPerStep: number }> {
  const trainer = await Trainer.create(device, config, tuning);
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

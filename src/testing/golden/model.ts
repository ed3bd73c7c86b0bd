/** A HySparK network set up for golden data: weights by the formula, one training plan with everything kept, one for evaluation. */

import { type BrickTable, brickTableData, writeBrickTable } from '../../bricks/table.ts';
import type { Device } from '../../gpu/device.ts';
import { HySparK, type HySparKGraph, type Savings } from '../../models/hyspark/hyspark.ts';
import { fromReference, referenceEntries, referenceShape, toReference } from '../../models/hyspark/reference.ts';
import { Declarations, type ParameterSpec } from '../../nn/declare.ts';
import { adamw, adamwSchedule, gradientNorm, keepGradients } from '../../ops/adamw.ts';
import { conv3 } from '../../ops/conv3.ts';
import { densify } from '../../ops/densify.ts';
import { unpatch } from '../../ops/unpatch.ts';
import { compile, type Plan } from '../../tape/plan.ts';
import { Tape } from '../../tape/tape.ts';
import type { Shape, Tensor } from '../../tape/tensor.ts';
import { Variables } from '../../tape/variables.ts';
import type { PretrainSet } from './manifest.ts';
import { goldenWeight, smoothed } from './weights.ts';

/** One entry of the state dict, with its tensor on the device where it has one. */
interface Entry {
  readonly key: string;
  readonly shape: Shape;
  readonly tensor?: Tensor;
  readonly spec?: ParameterSpec;
}

/** A feature map among the plan's outputs: on the visible bricks or on all. */
export interface Activation {
  readonly tensor: Tensor;
  readonly table: BrickTable;
}

export interface StepResult {
  readonly loss: number;
  readonly gradientNorm: number;
}

export class GoldenModel {
  readonly entries: ReadonlyMap<string, Entry>;
  readonly activations: ReadonlyMap<string, Activation>;
  private readonly graph: HySparKGraph;
  private readonly tape: Tape;
  private readonly schedule: Tensor;
  private plan: Plan | undefined;

  private constructor(
    private readonly device: Device,
    private readonly set: PretrainSet,
    private readonly variables: Variables,
    private readonly model: HySparK,
    declare: Declarations,
    private readonly savings: Savings | undefined,
  ) {
    // The fifth densify projection, which the model does not compute: its parameters as constants, beside the model.
    const fifth = ['maskToken.4', 'densify.4.weight', 'densify.4.bias'].map((name) =>
      variables.state(name, declare.specs.get(name)!.shape),
    );
    this.entries = new Map(
      referenceEntries(set.config).map(({ key, name }) => {
        const spec = name === undefined ? undefined : declare.specs.get(name)!;
        const tensor = spec?.tensor ?? fifth.find((constant) => constant.name === name);
        return [key, { key, shape: spec ? referenceShape(key, spec) : [], tensor, spec }];
      }),
    );
    this.tape = new Tape(device.report);
    this.graph = model.graph(this.tape, { batch: set.batch, training: true, savings });
    const { reconstruction, image, visible, loss } = this.graph;
    const restored = unpatch(this.tape, { prediction: reconstruction, image }, { visible });
    const [token, weight, bias] = fifth as [Tensor, Tensor, Tensor];
    const dense = densify(this.tape, { x: this.graph.encoder.features[0]!, token }, visible);
    const densify4 = conv3(this.tape, { x: dense, weight, bias }, this.graph.all);
    this.activations = named(this.graph, densify4, restored);
    for (const { tensor } of this.activations.values()) this.tape.output(tensor);
    this.tape.report(loss);
    keepGradients(this.tape, this.tape.backward(loss), variables);
    const chunks = variables.chunks();
    const steps = set.plain.steps;
    const norm = this.tape.report(gradientNorm(this.tape, chunks, steps?.clip ?? 5));
    this.schedule = this.tape.input('schedule', [4]);
    adamw(this.tape, chunks, norm, this.schedule, steps && { betas: steps.betas, epsilon: steps.eps });
  }

  static async open(device: Device, set: PretrainSet, savings?: Savings): Promise<GoldenModel> {
    const variables = new Variables(device.limits.maxStorageBufferBindingSize);
    const declare = new Declarations(variables);
    const model = new HySparK(declare, set.config);
    const golden = new GoldenModel(device, set, variables, model, declare, savings);
    await variables.allocate(device, true);
    declare.initialise(0); // the position table; everything else is filled
    return golden;
  }

  /** Puts the weights of the formula in, and the optimiser back to its start. */
  fill(smooth: boolean): void {
    for (const { key, shape, tensor, spec } of this.entries.values()) {
      if (!tensor || !spec) continue;
      const values = this.filled(key, shape, smooth);
      if (values) this.variables.write(tensor, fromReference(spec, values));
    }
    for (const { firstMoments, secondMoments } of this.variables.chunks()) {
      for (const moments of [firstMoments, secondMoments]) {
        this.variables.write(moments, new Float32Array(moments.size));
      }
    }
  }

  /** Weights of the formula in PyTorch's order. */
  filled(key: string, shape: Shape, smooth: boolean): Float32Array | undefined {
    const values = goldenWeight(key, shape, this.set.seed);
    const isBatchNorm = (prefix: string) => this.entries.has(`${prefix}.running_mean`);
    return values && smooth ? smoothed(key, values, isBatchNorm) : values;
  }

  /** One training step. Without `rates` the gradients are left in place and the parameters stay. */
  async step(
    visible: readonly Uint32Array[],
    rates: { step: number; learningRate: number; weightDecay: number } = { step: 1, learningRate: 0, weightDecay: 0 },
  ): Promise<StepResult> {
    this.plan ??= await compile(this.device, this.tape, this.variables);
    const options = this.set.plain.steps && { betas: this.set.plain.steps.betas };
    this.feed(this.plan, this.graph, visible);
    this.plan.write(this.schedule, adamwSchedule(rates.step, rates.learningRate, rates.weightDecay, options));
    const [loss, norm] = await this.plan.step();
    return { loss: loss![0]!, gradientNorm: norm![0]! };
  }

  /** The loss with running statistics in place of the batch's. */
  async evaluate(): Promise<number> {
    const tape = new Tape(this.device.report);
    const graph = this.model.graph(tape, { batch: this.set.batch, training: false, savings: this.savings });
    tape.report(graph.loss);
    const plan = await compile(this.device, tape, this.variables);
    this.feed(plan, graph, this.set.visible);
    const [loss] = await plan.step();
    plan.destroy();
    return loss![0]!;
  }

  private feed(plan: Plan, graph: HySparKGraph, visible: readonly Uint32Array[]): void {
    const { grid } = this.model;
    const every = Uint32Array.from({ length: grid.cells }, (_, cell) => cell);
    writeBrickTable(plan, graph.visible, brickTableData(grid, visible));
    writeBrickTable(
      plan,
      graph.all,
      brickTableData(
        grid,
        visible.map(() => every),
      ),
    );
    plan.write(graph.volume, this.set.input);
  }

  /** An activation of the last step as PyTorch has it: (batch, channel, x, y, z), zero or the mask token where hidden. */
  async activation(name: string, visible: readonly Uint32Array[]): Promise<Float32Array> {
    const { tensor, table } = this.activations.get(name)!;
    const values = await this.plan!.read(tensor);
    const { grid } = this.model;
    const { cells, slots } = brickTableData(grid, visible);
    const [, voxels, channels] = tensor.shape as [number, number, number];
    const edge = Math.round(Math.cbrt(voxels));
    const [nx, ny, nz] = grid.voxels(edge);
    const volume = new Float32Array(this.set.batch * channels * nx * ny * nz);
    const hidden = name === 'vit' ? this.filled(`sparse_encoder.mae.mask_token`, [1, 1, channels], false)! : undefined;
    const sparse = table === this.graph.visible;
    for (let cell = 0; cell < slots.length; cell++) {
      const [sample, local] = [Math.floor(cell / grid.cells), cell % grid.cells];
      const [i, j, k] = [Math.floor(local / (grid.y * grid.z)), Math.floor(local / grid.z) % grid.y, local % grid.z];
      const present = !sparse || cells[slots[cell]!] === cell;
      if (!present && !hidden) continue;
      const brick = sparse ? slots[cell]! : cell;
      for (let v = 0; v < voxels; v++) {
        const x = i * edge + Math.floor(v / (edge * edge));
        const y = j * edge + (Math.floor(v / edge) % edge);
        const z = k * edge + (v % edge);
        for (let c = 0; c < channels; c++) {
          const to = (((sample * channels + c) * nx + x) * ny + y) * nz + z;
          volume[to] = present ? values[(brick * voxels + v) * channels + c]! : hidden![c]!;
        }
      }
    }
    return volume;
  }

  /** A parameter or a running statistic in PyTorch's order. */
  async value({ tensor, spec }: Entry): Promise<Float32Array> {
    return toReference(spec!, await this.variables.read(tensor!));
  }

  /** A parameter's gradient after the last step, in PyTorch's order. */
  async gradient({ tensor, spec }: Entry): Promise<Float32Array> {
    return toReference(spec!, await this.variables.read(this.variables.gradientOf(tensor!)));
  }

  destroy(): void {
    this.plan?.destroy();
    this.variables.destroy();
  }
}

/** The graph's tensors by the names of the golden data. */
function named(graph: HySparKGraph, densify4: Tensor, restored: Tensor): Map<string, Activation> {
  const { encoder, densified, fused, decoded, reconstruction, visible, all } = graph;
  const list: [string, Tensor, BrickTable][] = [
    ['input', graph.image, all],
    ['stem', encoder.stem, visible],
    ...encoder.stages.map((t, s): [string, Tensor, BrickTable] => [`layer${s + 1}`, t, visible]),
    ...encoder.features.map((t, s): [string, Tensor, BrickTable] => [`x${s + 1}`, t, visible]),
    ['vit', encoder.tokens, visible],
    ...densified.map((t, n): [string, Tensor, BrickTable] => [`densify${n}`, t, all]),
    ['densify4', densify4, all],
    ...decoded.map((t, n): [string, Tensor, BrickTable] => [`dec${n}`, t, all]),
    ...fused.map((t, n): [string, Tensor, BrickTable] => [`fuse${n + 1}`, t, all]),
    ['rec', reconstruction, all],
    ['vis_rec_or_inp', restored, all],
  ];
  return new Map(list.map(([name, tensor, table]) => [name, { tensor, table }]));
}

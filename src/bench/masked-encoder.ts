/**
 * The encoder on the visible bricks beside the same layers on all bricks with every result multiplied by the mask, as the reference computes
 * it. For the test that they are equal, and the benchmark of what that is worth.
 */

import { elementwise, kernel } from '../../shaders/lib/kernel.ts';
import { NO_ROW } from '../../shaders/lib/rows.ts';
import { BrickGrid, PATCH } from '../bricks/grid.ts';
import { allVisible, randomMasks, visibleCount } from '../bricks/mask.ts';
import { type BrickTable, brickTable, brickTableData, writeBrickTable } from '../bricks/table.ts';
import type { Device } from '../gpu/device.ts';
import type { HySparkConfig } from '../models/hyspark/config.ts';
import { HySparKEncoder } from '../models/hyspark/encoder.ts';
import { Declarations } from '../nn/declare.ts';
import { activation } from '../ops/activation.ts';
import { add } from '../ops/add.ts';
import { conv3 } from '../ops/conv3.ts';
import { depthwiseConv3 } from '../ops/depthwise-conv3.ts';
import { gatherBricks } from '../ops/gather-bricks.ts';
import { layerNorm } from '../ops/layer-norm.ts';
import { linear } from '../ops/linear.ts';
import { maxPool } from '../ops/max-pool.ts';
import { probe } from '../ops/probe.ts';
import { perElement } from '../ops/shapes.ts';
import { Random } from '../random.ts';
import { defineOp, type Recorder } from '../tape/op.ts';
import { compile, type Plan } from '../tape/plan.ts';
import { Tape } from '../tape/tape.ts';
import type { Tensor } from '../tape/tensor.ts';
import { Variables } from '../tape/variables.ts';

const maskKernel = kernel({
  name: 'test-mask',
  reads: { x: 'f32', slots: 'u32' },
  writes: { y: 'f32' },
  uniforms: { count: 'u32', plane: 'u32' },
  code: elementwise(`y[i] = select(x[i], 0.0, slots[i / u.plane] == ${NO_ROW});`),
});

function recordMask(recorder: Recorder, x: Tensor, { slots }: BrickTable, y: Tensor): Tensor {
  recorder.dispatch(maskKernel, { x, slots, y }, perElement(x.size, { plane: x.size / x.shape[0]! }));
  return y;
}

/** x where visible, zero elsewhere. */
const masked = defineOp({
  name: 'masked',
  infer: ({ x }: { x: Tensor }, _: BrickTable) => x.shape,
  forward(recorder, { x }, visible, y) {
    recordMask(recorder, x, visible, y);
  },
  backward: (recorder, { inputs: { x }, attributes, dy }) => ({
    x: recordMask(recorder, dy, attributes, recorder.like('dx', x)),
  }),
});

export interface EncoderTrial {
  readonly config: HySparkConfig;
  readonly batch: number;
  readonly seed: number;
}

/** On visible bricks, with or without the transformer; on all bricks, masked or, wrongly, not. */
export type EncoderKind = 'sparse' | 'whole' | 'masked' | 'unmasked';

export interface EncoderRun {
  readonly plan: Plan;
  /** x1..x5 on all bricks, zero where hidden, and the gradients of all parameters, after `plan.step()`. */
  results(): Promise<{ readonly features: Float32Array[]; readonly gradients: Map<string, Float32Array> }>;
  destroy(): void;
}

/** Forward and backward for random gradients of the features (and the tokens), ready to step. */
export async function encoderRun(
  device: Device,
  { config, batch, seed }: EncoderTrial,
  kind: EncoderKind,
): Promise<EncoderRun> {
  const onVisible = kind === 'sparse' || kind === 'whole';
  const grid = BrickGrid.ofCrop(config.crop);
  const variables = new Variables(device.limits.maxStorageBufferBindingSize);
  const declare = new Declarations(variables);
  const encoder = new HySparKEncoder(declare, config, grid);
  await variables.allocate(device, false);
  declare.initialise(seed);

  const tape = new Tape(device.report);
  const visible = brickTable(tape, 'visible', grid, batch, visibleCount(grid.cells, config.maskRatio));
  const all = brickTable(tape, 'all', grid, batch, grid.cells);
  const volume = tape.input('volume', [batch, ...grid.voxels(PATCH)]);
  const table = onVisible ? visible : all;
  const bricks = gatherBricks(tape, { volume }, { table, edge: PATCH });
  const mask = (x: Tensor) => (kind === 'masked' ? masked(tape, { x }, visible) : x);
  const sparse = onVisible ? encoder.apply(tape, bricks, visible) : undefined;
  const features =
    sparse?.features ?? denseFeatures(tape, declare, config, masked(tape, { x: bricks }, visible), all, mask);
  const ends = kind === 'whole' ? [...features, sparse!.tokens] : features;
  const dys = ends.map((y, s) => tape.input(`dx${s + 1}`, y.shape));
  const probes = ends.map((y, s) => probe(tape, { y: tape.output(y) }, dys[s]!));
  const loss = tape.report(probes.reduce((a, b) => add(tape, { a, b }, undefined)));
  const gradients = tape.backward(loss);
  for (const gradient of gradients.values()) tape.output(gradient);
  const plan = await compile(device, tape, variables);
  plan.fillActivations(); // what is not computed is not read
  const cells = randomMasks(seed, 0, batch, grid.cells, config.maskRatio);
  const data = brickTableData(grid, cells);
  writeBrickTable(plan, visible, data);
  writeBrickTable(plan, all, brickTableData(grid, allVisible(batch, grid.cells)));
  plan.write(volume, draw(`volume ${seed}`, volume.size).map(Math.abs));
  /** Spreads rows of visible bricks over all of them, zero elsewhere, or takes them from there. */
  const planes = ends.map((y) => y.shape[1]! * y.channels);
  const spread = (values: Float32Array, plane: number) => {
    const full = new Float32Array(batch * grid.cells * plane);
    data.cells.forEach((cell, slot) => {
      full.set(values.subarray(slot * plane, (slot + 1) * plane), cell * plane);
    });
    return full;
  };
  dys.forEach((dy, s) => {
    const values = draw(`dx${s} ${seed}`, data.cells.length * planes[s]!);
    plan.write(dy, onVisible ? values : spread(values, planes[s]!));
  });
  return {
    plan,
    async results() {
      const maps = await Promise.all(features.map((y) => plan.read(y)));
      const entries = [...gradients].map(async ([p, gradient]) => [p.name, await plan.read(gradient)] as const);
      return {
        features: maps.map((map, s) => (onVisible ? spread(map, planes[s]!) : map)),
        gradients: new Map(await Promise.all(entries)),
      };
    },
    destroy() {
      plan.destroy();
      variables.destroy();
    },
  };
}

/** Standard normal numbers. */
function draw(name: string, count: number): Float32Array {
  const random = Random.of('encoder', name);
  return Float32Array.from({ length: count }, (_, i) => random.normal(i));
}

/** The convolutional stages on all bricks, `mask` after every op that can leave something in hidden voxels. */
function denseFeatures(
  tape: Tape,
  declare: Declarations,
  { blocks }: HySparkConfig,
  image: Tensor,
  all: BrickTable,
  mask: (x: Tensor) => Tensor,
): Tensor[] {
  const layer = (name: string) => ({
    weight: declare.specs.get(`${name}.weight`)!.tensor!,
    bias: declare.specs.get(`${name}.bias`)!.tensor!,
  });
  const features: Tensor[] = [];
  let x = mask(conv3(tape, { x: image, ...layer('stem') }, all));
  blocks.forEach((count, s) => {
    for (let b = 0; b < count; b++) {
      const name = `stage${s + 1}.${b}`;
      const mixed = mask(depthwiseConv3(tape, { x, ...layer(`${name}.depthwise`) }, all));
      const { weight: gamma, bias: beta } = layer(`${name}.norm`);
      const normed = mask(layerNorm(tape, { x: mixed, gamma, beta }, { epsilon: 1e-6 }));
      const wide = mask(linear(tape, { x: normed, ...layer(`${name}.expand`) }, undefined));
      const back = linear(
        tape,
        { x: mask(activation(tape, { x: wide }, 'gelu')), ...layer(`${name}.project`) },
        undefined,
      );
      x = add(tape, { a: x, b: mask(back) }, undefined);
    }
    if (s === 4) return;
    features.push(mask(conv3(tape, { x, ...layer(`widen${s + 1}`) }, all)));
    x = mask(maxPool(tape, { x: features[s]! }, undefined));
  });
  return [...features, x];
}

/** Largest difference / largest magnitude. */
export function difference(a: Float32Array, b: Float32Array): number {
  let [most, size] = [0, 1e-30];
  b.forEach((value, i) => {
    most = Math.max(most, Math.abs(value - a[i]!)); // NaN stays NaN
    size = Math.max(size, Math.abs(value));
  });
  return a.length === b.length ? most / size : Number.NaN;
}

/**
 * Sparse equals dense: the encoder on the visible bricks against the same layers on all bricks, every result multiplied by the mask,
 * as the reference computes it. Forward and backward, over random configurations.
 */

import { beforeAll, describe, expect, test } from 'vitest';
import { elementwise, kernel } from '../../../shaders/lib/kernel.ts';
import { NO_ROW } from '../../../shaders/lib/rows.ts';
import { BrickGrid, PATCH } from '../../bricks/grid.ts';
import { allVisible, randomMasks, visibleCount } from '../../bricks/mask.ts';
import { type BrickTable, brickTable, brickTableData, writeBrickTable } from '../../bricks/table.ts';
import type { Device } from '../../gpu/device.ts';
import { Declarations } from '../../nn/declare.ts';
import { activation } from '../../ops/activation.ts';
import { add } from '../../ops/add.ts';
import { conv3 } from '../../ops/conv3.ts';
import { depthwiseConv3 } from '../../ops/depthwise-conv3.ts';
import { gatherBricks } from '../../ops/gather-bricks.ts';
import { layerNorm } from '../../ops/layer-norm.ts';
import { linear } from '../../ops/linear.ts';
import { maxPool } from '../../ops/max-pool.ts';
import { perElement } from '../../ops/shapes.ts';
import { Random } from '../../random.ts';
import { defineOp, type Recorder } from '../../tape/op.ts';
import { compile } from '../../tape/plan.ts';
import { Tape } from '../../tape/tape.ts';
import type { Tensor } from '../../tape/tensor.ts';
import { Variables } from '../../tape/variables.ts';
import { testDevice } from '../../testing/device.ts';
import { draw, probe } from '../../testing/run-cases.ts';
import type { HySparkConfig } from './config.ts';
import { HySparKEncoder } from './encoder.ts';

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
    x: recordMask(recorder, dy, attributes, recorder.tensor('dx', x.shape)),
  }),
});

interface Trial {
  readonly config: HySparkConfig;
  readonly batch: number;
  readonly seed: number;
}

/** A configuration drawn from a seed. */
function trial(seed: number): Trial {
  const random = Random.of(seed, 'sparse equals dense');
  const from = (i: number, least: number, most: number) => least + random.int(i, most - least + 1);
  const five = (i: number, least: number, most: number) =>
    [0, 1, 2, 3, 4].map((s) => from(i + s, least, most)) as unknown as HySparkConfig['channels'];
  const [c0, c1, c2, c3] = five(10, 1, 9);
  const config: HySparkConfig = {
    crop: from(0, 0, 2) === 0 ? 48 : 32,
    channels: [c0, c1, c2, c3, 6 * from(1, 1, 2)],
    blocks: five(20, 1, 2),
    expansion: five(30, 1, 3),
    vitDepth: 1,
    heads: 2,
    width: 16,
    maskRatio: [0.25, 0.5, 0.75, 0.85][random.int(2, 4)]!,
  };
  return { config, batch: from(3, 1, 2), seed };
}

/** Features x1..x5 and the gradients of all convolutional parameters for random gradients of the features. */
async function run(device: Device, { config, batch, seed }: Trial, kind: 'sparse' | 'masked' | 'unmasked') {
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
  const table = kind === 'sparse' ? visible : all;
  const bricks = gatherBricks(tape, { volume }, { table, edge: PATCH });
  const mask = (x: Tensor) => (kind === 'masked' ? masked(tape, { x }, visible) : x);
  const features =
    kind === 'sparse'
      ? encoder.apply(tape, bricks, visible).features
      : denseFeatures(tape, declare, config, masked(tape, { x: bricks }, visible), all, mask);
  const dys = features.map((y, s) => tape.input(`dx${s + 1}`, y.shape));
  const probes = features.map((y, s) => probe(tape, { y: tape.output(y) }, dys[s]!));
  const loss = probes.reduce((a, b) => add(tape, { a, b }, undefined));
  const gradients = tape.backward(loss);
  for (const gradient of gradients.values()) tape.output(gradient);
  const plan = await compile(device, tape, variables);
  plan.fillActivations(Number.NaN); // what is not computed is not read
  const cells = randomMasks(seed, 0, batch, grid.cells, config.maskRatio);
  const data = brickTableData(grid, cells);
  writeBrickTable(plan, visible, data);
  writeBrickTable(plan, all, brickTableData(grid, allVisible(batch, grid.cells)));
  plan.write(volume, Float32Array.from(draw(`volume ${seed}`, volume.size), Math.abs));
  /** Spreads rows of visible bricks over all of them, zero elsewhere, or takes them from there. */
  const planes = features.map((y) => y.shape[1]! * y.channels);
  const spread = (values: Float32Array, plane: number) => {
    const full = new Float32Array(batch * grid.cells * plane);
    data.cells.forEach((cell, slot) => {
      full.set(values.subarray(slot * plane, (slot + 1) * plane), cell * plane);
    });
    return full;
  };
  dys.forEach((dy, s) => {
    const values = Float32Array.from(draw(`dx${s} ${seed}`, data.cells.length * planes[s]!));
    plan.write(dy, kind === 'sparse' ? values : spread(values, planes[s]!));
  });
  await plan.step();
  const maps = await Promise.all(features.map((y) => plan.read(y)));
  const entries = [...gradients].map(async ([p, gradient]) => [p.name, await plan.read(gradient)] as const);
  const result = {
    features: maps.map((map, s) => (kind === 'sparse' ? spread(map, planes[s]!) : map)),
    gradients: new Map(await Promise.all(entries)),
  };
  plan.destroy();
  variables.destroy();
  return result;
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
      const wide = mask(linear(tape, { x: normed, ...layer(`${name}.expand`) }, {}));
      const back = linear(tape, { x: mask(activation(tape, { x: wide }, 'gelu')), ...layer(`${name}.project`) }, {});
      x = add(tape, { a: x, b: mask(back) }, undefined);
    }
    if (s === 4) return;
    features.push(mask(conv3(tape, { x, ...layer(`widen${s + 1}`) }, all)));
    x = mask(maxPool(tape, { x: features[s]! }, undefined));
  });
  return [...features, x];
}

/** Largest difference / largest magnitude. */
function difference(a: Float32Array, b: Float32Array): number {
  let [most, size] = [0, 1e-30];
  b.forEach((value, i) => {
    most = Math.max(most, Math.abs(value - a[i]!)); // NaN stays NaN
    size = Math.max(size, Math.abs(value));
  });
  return a.length === b.length ? most / size : Number.NaN;
}

let device: Device;
beforeAll(async () => {
  device = await testDevice();
});

describe('the encoder on visible bricks equals the masked dense one', () => {
  test.each([1, 2, 3, 4, 5])('random configuration %i', async (seed) => {
    const drawn = trial(seed);
    const [sparse, dense] = [await run(device, drawn, 'sparse'), await run(device, drawn, 'masked')];
    const where = JSON.stringify(drawn);
    sparse.features.forEach((map, s) => {
      expect(difference(map, dense.features[s]!), `x${s + 1} ${where}`).toBeLessThan(1e-5);
    });
    expect([...sparse.gradients.keys()].sort()).toEqual([...dense.gradients.keys()].sort());
    expect(sparse.gradients.size).toBeGreaterThan(8 * 5);
    for (const [name, gradient] of sparse.gradients) {
      // sums of thousands of terms in another order
      expect(difference(gradient, dense.gradients.get(name)!), `d ${name} ${where}`).toBeLessThan(2e-4);
    }
  });

  test('and the masks are what makes it equal: without them hidden bricks leak in', async () => {
    const drawn = { ...trial(1), batch: 1 };
    const [sparse, dense] = [await run(device, drawn, 'sparse'), await run(device, drawn, 'unmasked')];
    expect(difference(sparse.features[2]!, dense.features[2]!)).toBeGreaterThan(1e-2);
    const name = 'stage3.0.depthwise.weight';
    expect(difference(sparse.gradients.get(name)!, dense.gradients.get(name)!)).toBeGreaterThan(1e-2);
  });
});

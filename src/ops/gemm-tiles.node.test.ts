/**
 * Every tile that the tuner may choose computes the same, also at the edges of odd sizes. In Node only: tiles differ by constants,
 * and every addressing and epilogue runs with the default tiles everywhere (`ops-targets.test.ts`).
 */

import { describe, expect, test } from 'vitest';
import type { ProductShape } from '../../shaders/gemm/family.ts';
import { tileMemory } from '../../shaders/gemm/tile.wgsl.ts';
import { spreadOf, type WorkgroupTile } from '../../shaders/gemm/tile-form.ts';
import { openDawn } from '../gpu/dawn.ts';
import { Device } from '../gpu/device.ts';
import { PLAIN_TARGET, type Target } from '../tape/op.ts';
import { compile } from '../tape/plan.ts';
import { Tape } from '../tape/tape.ts';
import { Variables } from '../tape/variables.ts';
import { testDevice } from '../testing/device.ts';
import type { OpCases } from '../testing/op-cases.ts';
import { recordSample, runSample } from '../testing/run-cases.ts';
import { keepGradients } from './adamw.ts';
import { conv3Cases } from './conv3.cases.ts';
import { densifyConv3Cases } from './densify-conv3.cases.ts';
import { type Candidate, type Choice, keyOf, type SplitChoice, WORKGROUP_MEMORY } from './gemm-choice.ts';
import { candidatesOf, chooseProduct, chooseWeightGradient } from './gemm-table.ts';
import { productBy, TILES, tileProducts, tileWeightGradients, weightGradientBy } from './gemm-tiles.ts';
import { buildTrial, type Recorded, scratchBytes, trialShape } from './gemm-trial.ts';
import { linearCases } from './linear.cases.ts';
import { linear } from './linear.ts';
import { sum } from './sum.ts';
import { Scratch } from './trial-scratch.ts';
import { upConv3Cases } from './up-conv3.cases.ts';

const gpu: Target = { class: 'gpu', subgroupSize: 0 };

const samplesOf = <A>(cases: OpCases<A>, names: readonly string[]) =>
  names.map((name) => {
    const sample = cases.samples.find((s) => s.name === name)!;
    return {
      name: `${cases.op}, ${name}`,
      record: () => recordSample(cases, sample, gpu).tape,
      run: async (target: Target) => runSample(await testDevice(), cases, sample, { target }),
    };
  });

/** Sizes that divide no tile; absent bricks, border classes, a constant channel, windows, corners and batches. */
const ODD = [...samplesOf(densifyConv3Cases, ['wide: 40 to 20']), ...samplesOf(upConv3Cases, ['wide: 20 to 24 to 28'])];

test.each(ODD)('each candidate has the op’s results: $name', async ({ record, run }) => {
  const offered = record().dispatches.flatMap(({ launch: { tunable } }) =>
    tunable ? [{ key: keyOf(tunable), names: candidatesOf(gpu, tunable).map((c) => c.name) }] : [],
  );
  expect(offered.length).toBeGreaterThanOrEqual(3); // the product and both gradients
  for (let n = 0; n < Math.max(...offered.map(({ names }) => names.length)); n++) {
    await run({ ...gpu, tuning: Object.fromEntries(offered.map(({ key, names }) => [key, names[n] ?? names[0]!])) });
  }
});

/** Blocks of weight gradients in which each size occurs. */
const GRADIENT_TILES: readonly WorkgroupTile[] = [
  { down: 128, across: 96, depth: 8, threadRows: 8, threadColumns: 4 },
  { down: 64, across: 64, depth: 8, threadRows: 8, threadColumns: 8 },
  { down: 32, across: 48, depth: 8, threadRows: 8, threadColumns: 4 },
  { down: 128, across: 32, depth: 8, threadRows: 8, threadColumns: 8 },
  { down: 64, across: 16, depth: 8, threadRows: 8, threadColumns: 4 },
];

/** All where they read vec4, two where they read scalars or share their taps out: each takes seconds to build. */
const tilesFor = ({ vectors }: ProductShape, splits: number) =>
  vectors && splits === 1 ? TILES : [TILES[0]!, TILES.at(-1)!];

/** By scalars and by vec4, with weights along columns and along the contraction. */
describe.each([...samplesOf(linearCases, ['odd sizes']), ...samplesOf(conv3Cases, ['wide: 20 to 40'])])(
  'each tile gives the plain kernel’s result: $name',
  ({ record }) => {
    const products = record().dispatches.filter(({ launch }) => launch.tunable) as Recorded[];

    test.each(products.map((recorded) => [keyOf(recorded.launch.tunable), recorded] as const))(
      '%s',
      async (_, recorded) => {
        const device = await testDevice();
        const shape = trialShape(recorded, Number.POSITIVE_INFINITY)!;
        const scratch = await Scratch.allocate(device, scratchBytes(recorded, shape));
        const resultOf = async (candidate: Candidate<Choice | SplitChoice>) => {
          const { plan, results } = await buildTrial(device, recorded, shape, candidate, scratch);
          const values = await plan.read(results[0]!);
          plan.destroy();
          return values;
        };
        const { tunable } = shape;
        const candidates =
          tunable.form === 'product'
            ? [1, 5].flatMap((splits) =>
                tilesFor(tunable.shape, splits).map((tile) => productBy(tile, splits, tunable.variant, tunable.shape)),
              )
            : GRADIENT_TILES.map((tile) => weightGradientBy(tile, 8, tunable.variant, tunable.shape));
        const plain = () =>
          tunable.form === 'product'
            ? chooseProduct(PLAIN_TARGET, tunable.variant, tunable.shape)
            : chooseWeightGradient(PLAIN_TARGET, tunable.variant, tunable.shape);
        const expected = await resultOf({ name: 'plain', tolerance: 0, choice: plain });
        const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
        for (const candidate of candidates) {
          const got = await resultOf(candidate);
          const worst = got.reduce((most, value, i) => Math.max(most, Math.abs(value - expected[i]!)), 0);
          expect(worst, candidate.name).toBeLessThan(1e-5 * largest);
        }
        scratch.destroy();
      },
    );
  },
);

test('every tile of a product fits the workgroup memory that each adapter has', () => {
  expect(Math.max(...TILES.map(tileMemory))).toBeLessThanOrEqual(WORKGROUP_MEMORY);
});

describe('a workgroup has no more threads than the adapter allows', () => {
  const allowing = (threads: number, lanes: number): Target => ({
    ...gpu,
    limits: { maxComputeInvocationsPerWorkgroup: threads, maxComputeWorkgroupSizeX: threads },
    matrices: [
      { input: 'f16', M: 16, N: 16, K: 16, lanes },
      { input: 'f32', M: 8, N: 8, K: 8, lanes },
    ],
  });
  /** Of every tile that a product or a weight gradient of some columns may have. */
  const candidatesFor = (target: Target, columns: number, inner: number) => {
    const shape = { rows: 1e5, inner, columns, edge: 8, vectors: true, half: true };
    const variant = { gelu: false, slope: false, bias: false, borders: false, skip: false, residual: false };
    const product = { ...variant, addressing: 'neighbours', scatter: false, constant: false } as const;
    return [
      tileProducts(target, product, { ...shape, unitStride: true }),
      tileWeightGradients(target, { addressing: 'neighbours', bias: false }, { ...shape, taps: 27 }),
    ];
  };
  const threadsOf = (candidate: Candidate) =>
    Number(/@workgroup_size\((\d+)\)/.exec(candidate.choice().kernel.wgsl)![1]);

  test.each([32, 64, 128])('256, subgroups of %i lanes', (lanes) => {
    for (const columns of [8, 16, 32, 40, 48, 64, 80, 96, 192, 384]) {
      for (const inner of [4, 16, 48, 96, 384]) {
        const found = candidatesFor(allowing(256, lanes), columns, inner);
        for (const candidates of found) {
          expect(candidates.length).toBeGreaterThan(1);
          expect(Math.max(...candidates.map(threadsOf)), `${inner} to ${columns}`).toBeLessThanOrEqual(256);
        }
        // What says nothing has WebGPU's defaults.
        const { limits, ...silent } = allowing(256, lanes);
        const names = (all: typeof found) => all.map((candidates) => candidates.map(({ name }) => name));
        expect(names(candidatesFor(silent, columns, inner))).toEqual(names(found));
      }
    }
  });

  test('more, which wide weight gradients and wide subgroups use', () => {
    expect(Math.max(...TILES.map((tile) => spreadOf(tile).threads))).toBeLessThanOrEqual(256);
    const most = (threads: number, lanes: number) =>
      candidatesFor(allowing(threads, lanes), 96, 96).map((candidates) => Math.max(...candidates.map(threadsOf)));
    expect(most(384, 32)).toEqual([192, 384]);
    expect(most(512, 128)).toEqual([512, 512]);
    const [, gradients] = candidatesFor(allowing(384, 32), 96, 96);
    const names = gradients!.map(({ name }) => name);
    expect(names[0]).toBe('64x96x8 by 8x4, 1024 workgroups');
    expect(names).toContain('128x96x8 by 8x4, 1024 workgroups');
  });

  test('256, on a device that allows no more', async () => {
    const { report } = await testDevice();
    const adapter = (await (await openDawn(process.env.HYSPARK_ADAPTER, [])).requestAdapter())!;
    const limits = { ...report.limits, ...allowing(256, 32).limits };
    const small = new Device(await adapter.requestDevice({ requiredLimits: limits }), {
      ...report,
      class: 'gpu',
      limits,
    });
    const tape = new Tape(small.report);
    const variables = new Variables();
    const weight = variables.parameter('weight', [96, 96]);
    const loss = sum(tape, { x: linear(tape, { x: tape.input('x', [512, 96]), weight }, undefined) }, {});
    keepGradients(tape, tape.backward(loss), variables);
    await variables.allocate(small, true);
    const plan = await compile(small, tape, variables);
    await plan.step();
    small.check();
    small.dispose();
  });
});

import { expect, test } from 'vitest';
import { type Kernel, kernel } from '../../shaders/lib/kernel.ts';
import { linearCases } from '../ops/linear.cases.ts';
import { testDevice } from '../testing/device.ts';
import { recordSample } from '../testing/run-cases.ts';
import { compile } from './plan.ts';
import { joined, slicesOf } from './slices.ts';
import type { Dispatch } from './tape.ts';
import { packUniforms } from './uniforms.ts';
import { Variables } from './variables.ts';

// That slices compute what the whole does is checked with every op's cases (`run-cases.ts`).

const cut = (axis: 0 | 2) =>
  kernel({ name: `cut along ${axis}`, uniforms: { rows: 'u32' }, sliced: { axis, first: 'from' }, code: '' });
const WHOLE = kernel({ name: 'whole', uniforms: { rows: 'u32' }, code: '' });

const launch = (of: Kernel, workgroups: readonly [number, number, number], flops?: number): Dispatch => ({
  kernel: of,
  tensors: [],
  launch: { uniforms: { rows: 7 }, workgroups, flops },
  label: of.id,
  backward: false,
});

const ofList = (dispatches: readonly Dispatch[], most?: number) =>
  dispatches.flatMap((d) => slicesOf(d, most)).map((slice) => ({ slice }));

test('a long launch is cut into slices of the same number of workgroups, the last of what is left', () => {
  const slices = slicesOf(launch(cut(0), [10, 3, 1], 100), 30);
  expect(slices.map(({ first, count }) => [first, count])).toEqual([
    [0, 3],
    [3, 3],
    [6, 3],
    [9, 1],
  ]);
  expect(slices.map(({ flops }) => flops)).toEqual([30, 30, 30, 10]);
});

test('a slice is a workgroup at least, and a launch stays whole that is short or does not say how it is cut', () => {
  expect(slicesOf(launch(cut(2), [5, 1, 2], 100), 1)).toHaveLength(2);
  expect(slicesOf(launch(cut(0), [10, 3, 1], 30), 30)).toHaveLength(1);
  expect(slicesOf(launch(cut(0), [10, 3, 1]), 30)).toHaveLength(1);
  expect(slicesOf(launch(WHOLE, [10, 3, 1], 100), 30)).toHaveLength(1);
});

test('neighbouring slices of a launch are one launch again, from where the first begins', () => {
  const [a, b] = [launch(cut(0), [10, 3, 1], 100), launch(cut(2), [5, 1, 2], 100)];
  const launches = ofList([a, b, launch(WHOLE, [4, 1, 1], 100)], 30); // 4, 2 and 1 slices
  const calls = (from: number, end: number) =>
    joined(launches, [from, end]).map(({ slice, workgroups }) => [slice.first, ...workgroups]);
  expect(calls(0, 7)).toEqual([
    [0, 10, 3, 1],
    [0, 5, 1, 2],
    [0, 4, 1, 1],
  ]);
  expect(calls(2, 5)).toEqual([
    [6, 4, 3, 1],
    [0, 5, 1, 1],
  ]);
  expect(calls(5, 7)).toEqual([
    [1, 5, 1, 1],
    [0, 4, 1, 1],
  ]);
});

test('equal launches that follow each other stay two', () => {
  const [a, b] = [launch(cut(0), [10, 1, 1], 100), launch(cut(0), [10, 1, 1], 100)];
  expect(joined(ofList([a, b]), [0, 2])).toHaveLength(2);
});

test('more workgroups than an adapter can launch along an axis are launched in turns', () => {
  const many = ofList([launch(cut(0), [150_000, 1, 1])]);
  const calls = joined(many, [0, many.length]);
  expect(calls.map(({ slice }) => slice.first)).toEqual([0, 65535, 131070]);
  expect(calls.map(({ workgroups: [x] }) => x)).toEqual([65535, 65535, 18930]);
  const fine = ofList([launch(cut(0), [150_000, 1, 1], 100)], 10); // of 15,000 each
  const joint = joined(fine, [0, fine.length]).map(({ workgroups: [x] }) => x);
  expect(joint).toEqual([60_000, 60_000, 30_000]);
});

test('a slice is told where it begins', () => {
  const { data, ranges } = packUniforms(slicesOf(launch(cut(0), [10, 3, 1], 100), 50));
  const words = new Uint32Array(data);
  expect(ranges.map(([offset]) => [...words.subarray(offset / 4, offset / 4 + 2)])).toEqual([
    [7, 0],
    [7, 5],
  ]);
});

test('a plan’s products for GPUs come in slices of the work that it was told', async () => {
  const device = await testDevice();
  const variables = new Variables(device.limits.maxStorageBufferBindingSize);
  const sample = linearCases.samples.find(({ name }) => name === 'many rows')!;
  const { tape } = recordSample(linearCases, sample, { class: 'gpu', subgroupSize: 0 }, variables);
  await variables.allocate(device, false);
  const submissions = async (mostFlops?: number) => {
    const plan = await compile(device, tape, variables, { mostFlops });
    const { submissionsPerStep } = plan;
    plan.destroy();
    return submissionsPerStep;
  };
  expect(await submissions()).toBe(1);
  const products = tape.dispatches.filter(({ launch }) => launch.tunable);
  const workgroups = products.map(({ kernel: { sliced }, launch }) => launch.workgroups[sliced!.axis]);
  expect(workgroups.every((count) => count > 1)).toBe(true);
  expect(await submissions(1)).toBe(workgroups.reduce((sum, count) => sum + count, 0));
  variables.destroy();
});

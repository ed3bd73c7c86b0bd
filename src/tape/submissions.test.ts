import { expect, test, vi } from 'vitest';
import type { Device } from '../gpu/device.ts';
import { likeGpu, testDevice } from '../testing/device.ts';
import { initialise, smallNetwork, writeStep } from '../testing/network.ts';
import { compile } from './plan.ts';
import { type Part, Submissions } from './submissions.ts';

const whole = (part: Part) => part;
const LAUNCHES = [0, 8e9, 0, 8e9, 16e9, 0, 60e9, 8e9, 0];

test('submissions hold every launch once, in order, and no more work than the limit unless one launch has it', () => {
  const parts = new Submissions('gpu', LAUNCHES, whole).next();
  expect(parts).toEqual([
    [0, 4],
    [4, 6],
    [6, 7],
    [7, 9],
  ]);
  expect(new Submissions('software', LAUNCHES, whole).next()).toHaveLength(5); // launches without operations join the one before
  expect(new Submissions('gpu', [0, 0, 0], whole).next()).toEqual([[0, 3]]);
});

test('a GPU that was timed gets submissions of 25 ms', () => {
  const fast = new Submissions('gpu', LAUNCHES, whole); // 100 GFLOP
  fast.took(0, 25);
  expect(fast.next()).toEqual([[0, 9]]);
  const slow = new Submissions('gpu', LAUNCHES, whole);
  slow.took(0, 250); // 10 GFLOP in 25 ms
  expect(slow.next().map(([first]) => first)).toEqual([0, 3, 4, 6, 7]);
});

test('steps that overlap, or wait for JavaScript, do not count twice', () => {
  const submissions = new Submissions('gpu', LAUNCHES, whole);
  for (let step = 0; step < 20; step++) submissions.took(20 * step - 60, 20 * step); // submitted while two run
  expect(submissions.next()).toHaveLength(1);
  for (let step = 20; step < 40; step++) submissions.took(1000 * step - 3000, 1000 * step);
  expect(submissions.next()).toHaveLength(5);
  for (let step = 100; step < 120; step++) submissions.took(1000 * step, 1000 * step + 20); // each after a rest
  expect(submissions.next()).toHaveLength(1);
});

test('two reports that come late, together, are no sign of speed', () => {
  const submissions = new Submissions('gpu', LAUNCHES, whole);
  submissions.took(0, 500);
  submissions.took(1, 500);
  expect(submissions.next().length).toBeGreaterThan(3);
});

test('cuts stay while they are about right, and on software adapters always', () => {
  const submissions = new Submissions('gpu', LAUNCHES, whole);
  submissions.took(0, 83); // 30 GFLOP in 25 ms, as assumed
  expect(submissions.next()).toHaveLength(4);
  const software = new Submissions('software-subgroups', [1e9, 1e9, 1e9], whole);
  software.took(0, 1e6);
  expect(software.next()).toEqual([[0, 3]]);
});

test('a plan whose steps take long submits more often, with the same bits', async () => {
  const device = await testDevice();
  const train = async (on: Device) => {
    const network = smallNetwork(device.report);
    await network.variables.allocate(device, true);
    initialise(network);
    const plan = await compile(on, network.tape, network.variables);
    const losses: number[] = [];
    const counts: number[] = [];
    for (let step = 0; step < 4; step++) {
      writeStep(plan, network, step);
      counts.push(plan.submissionsPerStep);
      losses.push((await plan.step())[0]![0]!);
      await new Promise((resolve) => setTimeout(resolve, 5)); // the next step's commands are recorded meanwhile
    }
    plan.destroy();
    network.variables.destroy();
    return { losses, counts };
  };
  const usual = await train(device);
  expect(usual.counts).toEqual([1, 1, 1, 1]);
  let now = 0;
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => (now += 500));
  const slow = await train(likeGpu(device)).finally(() => clock.mockRestore());
  expect(slow.counts[0]).toBe(1);
  expect(slow.counts[3]).toBeGreaterThan(5); // a step is recorded before the one before it was timed
  expect(slow.losses).toEqual(usual.losses);
});

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { kernel } from '../../shaders/lib/kernel.ts';
import { Device } from '../gpu/device.ts';
import { linear } from '../ops/linear.ts';
import { sum } from '../ops/sum.ts';
import { testDevice } from '../testing/device.ts';
import { initialise, smallNetwork, writeStep } from '../testing/network.ts';
import { layOut } from './layout.ts';
import { compile, type Plan } from './plan.ts';
import { Tape } from './tape.ts';
import { Variables } from './variables.ts';

let device: Device;
beforeAll(async () => {
  device = await testDevice();
});

/** Trains the small network; returns the losses, bit for bit, and the plan for inspection. */
async function train(steps: number, options: { recompute?: boolean; batch?: number } = {}) {
  const network = smallNetwork(device.report, 3, options.batch);
  await network.variables.allocate(device, true);
  initialise(network);
  const plan = await compile(device, network.tape, network.variables, options);
  plan.fillActivations();
  const losses: number[] = [];
  for (let step = 0; step < steps; step++) {
    writeStep(plan, network, step);
    losses.push((await plan.step())[0]![0]!);
  }
  const parameters = await Promise.all(network.variables.parameters.map((p) => network.variables.read(p)));
  return { losses, parameters, plan, network };
}

describe('a replayed step', () => {
  let run: Awaited<ReturnType<typeof train>>;
  beforeAll(async () => {
    run = await train(3);
  });
  afterAll(() => run.plan.destroy());

  test('creates no buffer, bind group or pipeline in 100 steps, and submits a handful of times', async () => {
    const { submissions: submitted, ...before } = device.counters;
    for (let step = 0; step < 100; step++) await run.plan.step();
    const { submissions, ...created } = device.counters;
    expect(created).toEqual(before);
    expect(submissions - submitted).toBeGreaterThanOrEqual(100);
    expect(submissions - submitted).toBeLessThanOrEqual(400);
  });

  test('binds at most 8 storage buffers a kernel', () => {
    const most = Math.max(...run.plan.layout.dispatches.map((d) => d.kernel.bindings.length));
    expect(most).toBeLessThanOrEqual(8);
  });

  test('may be under way four times, not five', async () => {
    const steps = [1, 2, 3, 4].map(() => run.plan.step());
    expect(() => run.plan.step()).toThrow(/4 steps under way, need await the promise of an earlier step/);
    await Promise.all(steps);
    await run.plan.step();
  });

  test('learns: the loss of the same input has fallen', async () => {
    expect((await run.plan.step())[0]![0]).toBeLessThan(run.losses[2]! - 0.01);
  });
});

test('a plan is timed by timestamps and by the clock, and read in part', async () => {
  const timeless = new Device(device.gpu, { ...device.report, features: [] }, (promise) => device.wait(promise));
  for (const on of [device, timeless]) {
    const tape = new Tape(on.report);
    const x = tape.input('x', [8]);
    tape.report(sum(tape, { x }, {}));
    const plan = await compile(on, tape);
    plan.write(x, Float32Array.of(0, 1, 2, 3, 4, 5, 6, 7));
    expect(await plan.step()).toEqual([Float32Array.of(28)]);
    expect(await plan.time(3)).toBeGreaterThanOrEqual(0);
    expect(await plan.read(x, 2, 3)).toEqual(Float32Array.of(2, 3, 4));
    expect(await plan.read(x, 6)).toEqual(Float32Array.of(6, 7));
    plan.destroy();
  }
});

test.each(['timestamps', 'the clock'])(
  'a profile has each launch once, submission by submission: by %s',
  async (by) => {
    const features = by === 'timestamps' ? device.report.features : [];
    const report = { ...device.report, class: 'software', subgroupSize: 0, features } as const; // its cuts stay
    const on = new Device(device.gpu, report, (promise) => device.wait(promise));
    const { tape, variables } = smallNetwork(report);
    await variables.allocate(on, true);
    const plan = await compile(on, tape, variables, { mostFlops: 1e6 }); // slices of launches, too
    const { dispatches } = plan.layout;
    const before = on.counters.submissions;
    const profile = await plan.profile(2);
    expect(profile.map(({ dispatch }) => dispatch)).toEqual(dispatches);
    expect(profile.every(({ nanoseconds }) => nanoseconds >= 0)).toBe(true);
    const [step, all] = [plan.submissionsPerStep, on.counters.submissions - before];
    expect(step).toBeGreaterThan(4);
    if (features.includes('timestamp-query')) expect(all).toBe(2 * step);
    else expect(all).toBeGreaterThanOrEqual(step + dispatches.length);
    const alone = on.counters.submissions;
    expect(await plan.time(1)).toBeGreaterThanOrEqual(0);
    expect(on.counters.submissions - alone).toBe(step);
    plan.destroy();
    variables.destroy();
  },
);

test('a plan that was destroyed says so, to the step under way and to the next; the device goes on', async () => {
  const tape = new Tape(device.report);
  const x = tape.input('x', [8]);
  tape.report(sum(tape, { x }, {}));
  const plan = await compile(device, tape);
  await plan.step();
  const underWay = plan.step();
  plan.destroy();
  const destroyed = {
    code: 'bad-state',
    message: expect.stringMatching(/^Running a plan: got one that was destroyed/),
  };
  await expect(underWay).rejects.toMatchObject(destroyed);
  expect(() => plan.step()).toThrow(expect.objectContaining(destroyed));
  await expect(plan.read(x)).rejects.toMatchObject(destroyed);
  await device.gpu.queue.onSubmittedWorkDone();
  device.check();
  await device.guarded('Going on', () => undefined);
});

test('the same seed gives the same bits', async () => {
  const [a, b] = [await train(4), await train(4)];
  expect(b.losses).toEqual(a.losses);
  expect(b.parameters).toEqual(a.parameters);
  expect(new Set(a.losses).size).toBe(4);
  a.plan.destroy();
  b.plan.destroy();
});

test('recomputing activations gives the same bits from less memory', async () => {
  const kept = await train(4);
  const recomputed = await train(4, { recompute: true });
  expect(recomputed.losses).toEqual(kept.losses);
  expect(recomputed.parameters).toEqual(kept.parameters);
  const bytes = (plan: Plan) => plan.layout.bytes.activations;
  expect(bytes(recomputed.plan)).toBeLessThan(0.8 * bytes(kept.plan));
  expect(recomputed.plan.layout.dispatches.length).toBeGreaterThan(kept.plan.layout.dispatches.length);
  kept.plan.destroy();
  recomputed.plan.destroy();
});

describe('memory', () => {
  const limits = { maxBufferSize: 2 ** 30, maxStorageBufferBindingSize: 2 ** 27 };

  test('is known before allocation and is what gets allocated', async () => {
    const network = smallNetwork(device.report);
    const planned = layOut(network.tape, network.variables, device.limits);
    let allocated = 0;
    const gpu = new Proxy(device.gpu, {
      get: (target, key) => {
        if (key !== 'createBuffer') {
          const value = Reflect.get(target, key, target);
          return typeof value === 'function' ? value.bind(target) : value;
        }
        return (descriptor: GPUBufferDescriptor) => {
          if (descriptor.usage & GPUBufferUsage.STORAGE) allocated += descriptor.size;
          return target.createBuffer(descriptor);
        };
      },
    });
    const counting = Object.create(device, { gpu: { value: gpu } }) as Device;
    await network.variables.allocate(counting, true);
    const plan = await compile(counting, network.tape, network.variables);
    expect(allocated).toBe(planned.bytes.peak);
    plan.destroy();
  });

  test('is given back when building fails, at whatever step', async () => {
    let [alive, left] = [0, 0];
    /** Creates `left` objects, then fails. */
    const failing = new Proxy(device.gpu, {
      get: (target, key) => {
        const value = Reflect.get(target, key, target);
        if (typeof value !== 'function') return value;
        if (key !== 'createBuffer' && key !== 'createBindGroup') return value.bind(target);
        return (descriptor: GPUBufferDescriptor & GPUBindGroupDescriptor) => {
          if (left-- === 0) throw new RangeError(`no ${descriptor.label}`);
          if (key === 'createBindGroup') return target.createBindGroup(descriptor);
          const buffer = target.createBuffer(descriptor);
          alive++;
          const destroy = buffer.destroy.bind(buffer);
          buffer.destroy = () => {
            alive--;
            return destroy();
          };
          return buffer;
        };
      },
    });
    const { report } = device;
    const on = new Device(failing, report, (promise) => device.wait(promise));
    const build = async () => {
      const { tape, variables } = smallNetwork(report);
      await variables.allocate(on, true);
      const plan = await compile(on, tape, variables).catch((error) => {
        variables.destroy();
        throw error;
      });
      plan.destroy();
      variables.destroy();
    };
    left = 1000;
    await build();
    const objects = 1000 - left;
    expect(alive).toBe(0);
    for (let n = 0; n < objects; n++) {
      left = n;
      await expect(build()).rejects.toThrow(/^no /);
      expect(alive, `after ${n} objects`).toBe(0);
    }
  });

  test('is reused: far less than the sum of all tensors, near what is alive at once', () => {
    const { tape, variables } = smallNetwork({ class: 'software', subgroupSize: 0 }, 8);
    const { memory, bytes } = layOut(tape, variables, limits);
    const all = [...memory.places.keys()].reduce((total, t) => total + t.bytes, 0);
    expect(bytes.activations).toBeLessThan(0.7 * all);
    expect(bytes.activations).toBeLessThan(1.3 * memory.liveBytes);
  });

  test('what exceeds a binding is refused in a sentence, before anything is allocated', () => {
    const tape = new Tape();
    const variables = new Variables();
    const x = tape.input('x', [2 ** 20, 4]);
    const y = linear(tape, { x, weight: variables.parameter('w', [4, 64]) }, undefined);
    tape.report(sum(tape, { x: y }, {}));
    expect(() => layOut(tape, variables, limits)).toThrow(
      'Planning memory: tensor "linear": got 256 MiB in one piece, need at most 128 MiB on this adapter. Choose a smaller preset, crop or batch, or another adapter.',
    );
  });

  test('a parameter larger than a binding is refused', () => {
    expect(() => new Variables(1024).parameter('big', [300])).toThrow(
      /Declaring "big": got 1280 bytes, need at most 1024/,
    );
  });
});

describe('failures name the kernel', () => {
  test('WGSL that does not compile', async () => {
    const tape = new Tape();
    const broken = kernel({
      name: 'broken',
      writes: { y: 'f32' },
      code: '@compute @workgroup_size(1) fn main() { y[0] = nonsense; }',
    });
    tape.dispatch(broken, { y: tape.tensor('y', [1]) }, { workgroups: [1, 1, 1] });
    await expect(compile(device, tape)).rejects.toMatchObject({
      code: 'shader-compilation',
      message: expect.stringMatching(/Compiling kernel broken: got .*nonsense/s),
    });
  });

  test('a launch beyond 65535 workgroups', async () => {
    const tape = new Tape();
    const fine = kernel({
      name: 'fine',
      writes: { y: 'f32' },
      code: '@compute @workgroup_size(1) fn main() { y[0] = 1.0; }',
    });
    tape.dispatch(fine, { y: tape.tensor('y', [1]) }, { workgroups: [65536, 1, 1] });
    await expect(compile(device, tape)).rejects.toMatchObject({ code: 'exceeds-limits' });
  });

  test('a binding or a uniform left out', () => {
    const tape = new Tape();
    const two = kernel({ name: 'two', reads: { x: 'f32' }, writes: { y: 'f32' }, uniforms: { n: 'u32' }, code: '' });
    const y = tape.tensor('y', [1]);
    expect(() => tape.dispatch(two, { y }, { workgroups: [1, 1, 1] })).toThrow(/Recording two: got no value for "x"/);
    expect(() => tape.dispatch(two, { x: y, y }, { workgroups: [1, 1, 1] })).toThrow(/no value for "n"/);
  });

  test('reading what nothing wrote', () => {
    const tape = new Tape();
    const copy = kernel({ name: 'copy', reads: { x: 'f32' }, writes: { y: 'f32' }, code: '' });
    tape.dispatch(copy, { x: tape.tensor('x', [1]), y: tape.tensor('y', [1]) }, { workgroups: [1, 1, 1] });
    expect(() => layOut(tape, undefined, { maxBufferSize: 1e9, maxStorageBufferBindingSize: 1e9 })).toThrow(
      /is read before it is written/,
    );
  });
});

import { describe, expect, test, vi } from 'vitest';
import { sum } from '../ops/sum.ts';
import { compile } from '../tape/plan.ts';
import { Tape } from '../tape/tape.ts';
import { testDevice } from '../testing/device.ts';
import { REQUESTED_LIMITS } from './adapter.ts';
import { Device, openDevice } from './device.ts';

const adapter = typeof process === 'undefined' ? undefined : process.env?.HYSPARK_ADAPTER || undefined;

describe('a device', () => {
  test('reports what it got', async () => {
    const { report } = await testDevice();
    expect(report.name).not.toBe('');
    expect(['gpu', 'software-subgroups', 'software']).toContain(report.class);
    expect(report.limits.maxStorageBufferBindingSize).toBeGreaterThanOrEqual(128 * 1024 * 1024);
    expect(report.limits.maxStorageBuffersPerShaderStage).toBeGreaterThanOrEqual(8);
    if (report.class === 'software-subgroups') expect(report.subgroupSize).toBeGreaterThan(1);
  });

  test('that is refused says by whom and what to do', async () => {
    const limits = Object.fromEntries(REQUESTED_LIMITS.map((name) => [name, 1]));
    const info = { vendor: '', architecture: '', device: 'GPU 9000', description: '' };
    const adapters: Record<string, () => Promise<unknown>> = {
      'Looking for a GPU: got none.': () => Promise.resolve(null),
      'Looking for a GPU: got Error: blocked.': () => Promise.reject(new Error('blocked')),
      'Opening the GPU (GPU 9000): got Error: too many devices. Close what else': () =>
        Promise.resolve({
          ...{ info, limits, features: new Set() },
          requestDevice: () => Promise.reject(new Error('too many devices')),
        }),
    };
    for (const [start, requestAdapter] of Object.entries(adapters)) {
      vi.stubGlobal('navigator', { gpu: { requestAdapter } });
      const opened = openDevice(); // asks for it at once
      vi.unstubAllGlobals();
      const advice = / (Use a browser|Install a Vulkan driver|Run Deno|Close what else) /;
      await expect(opened).rejects.toMatchObject({ code: 'no-adapter', message: expect.stringMatching(advice) });
      await expect(opened).rejects.toThrow(start);
    }
  });

  test('turns a validation error into a typed one', async () => {
    const device = await testDevice();
    const tooMuch = device.guarded('Trying a bad buffer', () =>
      device.createBuffer('bad', 16, GPUBufferUsage.MAP_READ | GPUBufferUsage.STORAGE),
    );
    await expect(tooMuch).rejects.toMatchObject({
      code: 'gpu-validation',
      message: expect.stringMatching(/^Trying a bad buffer: got /),
    });
    device.check(); // and the device goes on
  });

  test('keeps no buffer of work that failed, at once or later', async () => {
    const device = await testDevice();
    const make = (label: string) => vi.spyOn(device.createBuffer(label, 16, GPUBufferUsage.STORAGE), 'destroy');
    const work: Record<string, (fails: boolean) => unknown> = {
      'a command is refused': (fails) =>
        device.createBuffer(
          'bad',
          16,
          fails ? GPUBufferUsage.MAP_READ | GPUBufferUsage.STORAGE : GPUBufferUsage.STORAGE,
        ),
      'the work throws': (fails) => {
        if (fails) throw new RangeError('mine');
      },
      'the work rejects': async (fails) => {
        await undefined;
        if (fails) throw new RangeError('mine');
      },
    };
    for (const [doing, rest] of Object.entries(work)) {
      for (const fails of [true, false]) {
        let destroyed: ReturnType<typeof make> | undefined;
        const done = device.guarded(doing, () => {
          destroyed = make(doing);
          return rest(fails);
        });
        const other = make('not of this work');
        expect(await done.then(() => false).catch(() => true), doing).toBe(fails);
        expect(destroyed!.mock.calls.length, doing).toBe(fails ? 1 : 0);
        expect(other).not.toHaveBeenCalled();
      }
    }
  });

  test('leaves its error scopes balanced when the work throws', async () => {
    const device = await testDevice();
    const thrown = device.guarded('Throwing', () => {
      throw new RangeError('mine');
    });
    await expect(thrown).rejects.toThrow('mine');
    await device.guarded('Going on', () => undefined);
  });

  test('that is lost says so, in the step under way and in the next', async () => {
    const device = await openDevice({ adapter });
    const tape = new Tape(device.report);
    tape.report(sum(tape, { x: tape.input('x', [64]) }, {}));
    const plan = await compile(device, tape);
    await plan.step();
    const timeless = new Device(device.gpu, { ...device.report, features: [] });
    const clocked = await compile(timeless, tape);
    const underWay = Promise.allSettled([plan.step(), plan.time(1), plan.read(tape.reports[0]!), clocked.time(1)]);
    device.gpu.destroy(); // not `dispose`: nobody asked for this
    const error = await device.lost;
    const failures = (await underWay).filter((result) => result.status === 'rejected');
    expect(failures.length).toBeGreaterThan(0); // some may have been done just then
    for (const { reason } of failures) expect(reason).toMatchObject({ code: 'device-lost' });
    expect(error).toMatchObject({
      code: 'device-lost',
      message: expect.stringMatching(/resume from it on a new device/),
    });
    expect(() => plan.step()).toThrow(/Using the GPU/);
  });

  test('that was disposed refuses work', async () => {
    const device = await openDevice({ adapter });
    device.dispose();
    expect(await device.lost).toBeUndefined();
    expect(() => device.check()).toThrow(/Using a device: got one that was disposed/);
  });
});

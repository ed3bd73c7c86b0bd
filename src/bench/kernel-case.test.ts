import { expect, test } from 'vitest';
import { Device } from '../gpu/device.ts';
import { testDevice } from '../testing/device.ts';
import { readyKernel } from './kernel-case.ts';

test.each(['timestamps', 'the clock'])('a kernel is timed by %s', async (by) => {
  const { gpu, report } = await testDevice();
  const features = by === 'timestamps' ? report.features : [];
  const on = new Device(gpu, { ...report, features });
  const ready = await readyKernel(on, { kind: 'matmul', rows: 256, inner: 16, columns: 16 }, on.report);
  const times = await ready.time();
  for (const milliseconds of Object.values(times)) expect(milliseconds).toBeGreaterThan(0);
  ready.destroy();
});

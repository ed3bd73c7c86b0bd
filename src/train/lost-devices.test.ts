import { expect, test } from 'vitest';
import { HysparkError } from '../errors.ts';
import type { Device } from '../gpu/device.ts';
import { LostDevices } from './lost-devices.ts';

const device = (lost: Promise<HysparkError | undefined>) => ({ lost, report: { name: 'a GPU' } }) as unknown as Device;
const gone = device(Promise.resolve(new HysparkError('device-lost', { doing: 'Testing', got: 'none' })));

test('another device is worth a try three times for each checkpoint', async () => {
  const devices = new LostDevices();
  for (let i = 0; i < 2; i++) expect(await devices.isAnotherWorthIt(gone)).toBe(true);
  devices.saved();
  for (let i = 0; i < 3; i++) expect(await devices.isAnotherWorthIt(gone)).toBe(true);
  await expect(devices.isAnotherWorthIt(gone)).rejects.toMatchObject({
    code: 'device-lost',
    message: expect.stringMatching(/a GPU.*lost 4 times.*smaller batch/s),
  });
});

test('a failure on a device that works, or was put away on purpose, is none of its', async () => {
  const devices = new LostDevices();
  expect(await devices.isAnotherWorthIt(device(new Promise(() => {})))).toBe(false);
  expect(await devices.isAnotherWorthIt(device(Promise.resolve(undefined)))).toBe(false);
});

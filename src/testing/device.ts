/** The device that tests run on: opened once a process. No adapter is a failure, never a skip. */

import { Device, openDevice } from '../gpu/device.ts';

let opened: Promise<Device> | undefined;

/** HYSPARK_ADAPTER (`lavapipe`, `swiftshader`) chooses in Node; browsers and Deno have one of their own. */
export function testDevice(): Promise<Device> {
  const adapter = typeof process === 'undefined' ? undefined : process.env?.HYSPARK_ADAPTER;
  opened ??= openDevice({ adapter: adapter || undefined });
  return opened;
}

/** The same device, taken for a real GPU: its kernels are plain WGSL and run anywhere, slowly. */
export function likeGpu(device: Device): Device {
  const report = { ...device.report, class: 'gpu', subgroupSize: 0 } as const;
  return new Device(device.gpu, report, (promise) => device.wait(promise));
}

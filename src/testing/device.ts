/** The device that tests run on: opened once a process. No adapter is a failure, never a skip. */

import { type Device, openDevice } from '../gpu/device.ts';

let opened: Promise<Device> | undefined;

/** HYSPARK_ADAPTER (`lavapipe`, `swiftshader`) chooses in Node; browsers and Deno have one of their own. */
export function testDevice(): Promise<Device> {
  const adapter = typeof process === 'undefined' ? undefined : process.env?.HYSPARK_ADAPTER;
  opened ??= openDevice({ adapter: adapter || undefined });
  return opened;
}

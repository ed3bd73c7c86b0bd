/** Of Node's Dawn: browsers round timestamps, and are started with a switch against it where they are measured. */

import { expect, test } from 'vitest';
import { compile } from '../tape/plan.ts';
import { testDevice } from '../testing/device.ts';
import { smallNetwork } from '../testing/network.ts';

test('timestamps are not rounded', async () => {
  const device = await testDevice();
  const { tape, variables } = smallNetwork(device.report);
  await variables.allocate(device, true);
  const plan = await compile(device, tape, variables);
  const profile = await plan.profile();
  expect(profile.some(({ nanoseconds }) => nanoseconds % 65536 !== 0)).toBe(true); // what Dawn rounds them to
  plan.destroy();
  variables.destroy();
});

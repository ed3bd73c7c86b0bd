/** The suite runs where it was meant to run, on a working adapter: a wrong runtime or no adapter fails here by name. */

import { expect, inject, test } from 'vitest';
import { runtimeName } from '../gpu/adapter.ts';
import { testDevice } from './device.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** Set by vitest.config.ts. */
    runtime: 'browser' | 'node' | 'deno';
  }
}

test('the suite runs in the runtime it was started for', () => {
  expect(runtimeName()).toBe(inject('runtime'));
});

test('there is an adapter, and a device on it', async () => {
  const { report } = await testDevice();
  expect(report.runtime).toBe(inject('runtime'));
  console.log(`${report.runtime}: ${report.name} (${report.class}, ${report.features.join(', ') || 'no features'})`);
});

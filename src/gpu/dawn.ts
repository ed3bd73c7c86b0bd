/** WebGPU for Node: the npm package `webgpu` (Dawn). Browsers and Deno bring their own. */

import { existsSync } from 'node:fs';
import { HysparkError } from '../errors.ts';

/** Software adapters by name, as Vulkan driver files in the places where Debian puts them. */
const DRIVER_FILES: Record<string, readonly string[]> = {
  lavapipe: ['/usr/share/vulkan/icd.d/lvp_icd.json', '/usr/share/vulkan/icd.d/lvp_icd.x86_64.json'],
  swiftshader: ['/usr/lib/chromium/vk_swiftshader_icd.json', '/usr/lib64/chromium/vk_swiftshader_icd.json'],
};

export const NAMED_ADAPTERS = Object.keys(DRIVER_FILES);

let instance: GPU | undefined;

/**
 * Opens Dawn once a process.
 * @param adapter `lavapipe` or `swiftshader` picks that driver; `VK_DRIVER_FILES`, when already set, wins over the default choice.
 * @param toggles Dawn toggles, e.g. `enable-dawn-features=vulkan_enable_f16_on_nvidia`.
 */
export async function openDawn(adapter: string | undefined, toggles: readonly string[] = []): Promise<GPU> {
  if (adapter !== undefined) selectDriver(adapter);
  // Mesa complains on stderr when this is unset.
  process.env.XDG_RUNTIME_DIR ??= '/tmp';
  if (instance) return instance;
  let dawn: { create(options: string[]): GPU; globals: object };
  try {
    dawn = (await import(/* @vite-ignore */ 'webgpu' as string)) as typeof dawn;
  } catch (cause) {
    throw new HysparkError('no-adapter', {
      doing: 'Loading WebGPU for Node',
      advice: 'Install the npm package "webgpu" (npm install webgpu); it carries Dawn for Linux, macOS and Windows',
      cause,
    });
  }
  Object.assign(globalThis, dawn.globals);
  // Timestamps are multiples of 65 µs otherwise, against pages that spy.
  const fine = 'disable-dawn-features=timestamp_quantization';
  instance = dawn.create(merged([`${ENABLE}allow_unsafe_apis`, fine, ...toggles]));
  return instance;
}

const ENABLE = 'enable-dawn-features=';

/** Dawn takes one list of features to enable. */
function merged(options: readonly string[]): string[] {
  const features = options.filter((option) => option.startsWith(ENABLE)).map((option) => option.slice(ENABLE.length));
  return [...options.filter((option) => !option.startsWith(ENABLE)), ENABLE + features.join(',')];
}

/** Milliseconds. In the longest, nothing else of the process is heard. */
const [SHORTEST_SLEEP, LONGEST_SLEEP] = [0.25, 3];
/** Of the time waited so far. */
const SLEEP_SHARE = 0.03;

const neverNotified = typeof SharedArrayBuffer === 'undefined' ? undefined : new Int32Array(new SharedArrayBuffer(4));

/**
 * Awaits a promise of Dawn's without burning a core. Node's Dawn asks for finished work in every turn of the event loop, which
 * keeps a core busy while a software adapter could use it; a sleep each turn gives it back. It is a few hundredths of the time waited so far: the
 * work's end is noticed soon, and long work is seldom disturbed (a step of 140 ms on two cores by 3 to 5 % less than by sleeps of 0.25 ms).
 */
export async function waitQuietly<T>(promise: Promise<T>): Promise<T> {
  let waiting = true;
  const settled = promise.finally(() => {
    waiting = false;
  });
  settled.catch(() => {}); // the caller hears of it below
  const start = performance.now();
  while (waiting) {
    await new Promise(setImmediate); // first: whoever calls this goes on at once
    const milliseconds = Math.min(LONGEST_SLEEP, Math.max(SHORTEST_SLEEP, SLEEP_SHARE * (performance.now() - start)));
    if (waiting && neverNotified) Atomics.wait(neverNotified, 0, 0, milliseconds);
  }
  return settled;
}

function selectDriver(adapter: string): void {
  const candidates = DRIVER_FILES[adapter];
  if (!candidates) {
    throw new HysparkError('bad-argument', {
      doing: 'Choosing an adapter',
      got: `"${adapter}"`,
      need: `one of ${NAMED_ADAPTERS.join(', ')}`,
    });
  }
  const file = candidates.find((path) => existsSync(path));
  if (!file) {
    const packages = adapter === 'lavapipe' ? 'mesa-vulkan-drivers (24 or newer)' : 'chromium';
    throw new HysparkError('no-adapter', {
      doing: `Choosing the adapter "${adapter}"`,
      got: 'no driver file',
      advice: `Install Debian's package ${packages}`,
    });
  }
  if (instance && process.env.VK_DRIVER_FILES !== file) {
    throw new HysparkError('bad-state', {
      doing: `Choosing the adapter "${adapter}"`,
      got: 'another driver already loaded by this process',
      advice: 'Start a new process for each adapter',
    });
  }
  process.env.VK_DRIVER_FILES = file;
}

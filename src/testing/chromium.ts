/** The Chromium of this machine, with WebGPU on a software adapter. */

import { existsSync } from 'node:fs';
import { type Browser, chromium } from 'playwright';

/** Undefined where there is none: then the one that Playwright brought is taken. */
export const CHROMIUM_PATH = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser'].find(
  (path) => path && existsSync(path),
);

/** No traffic of the browser's own. */
export const QUIET_FLAGS = [
  '--no-sandbox', // Chromium's sandbox refuses root
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-quic',
];

/** SwiftShader, which Chromium lets in only when asked. */
export const WITH_WEBGPU = ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader'];
export const WITHOUT_WEBGPU = ['--disable-gpu', '--disable-features=WebGPU,WebGPUService'];

export const CHROMIUM_FLAGS = [...QUIET_FLAGS, ...WITH_WEBGPU];

/** After those above: the machine's own GPU instead. */
export const HARDWARE_FLAGS = [
  '--use-webgpu-adapter=default',
  '--enable-features=Vulkan',
  '--use-angle=vulkan',
  '--ignore-gpu-blocklist',
];

/** It finds the SwiftShader in its own folder, unless told of other drivers. */
export function launchChromium(flags: readonly string[] = []): Promise<Browser> {
  const { VK_DRIVER_FILES: _, ...env } = process.env as Record<string, string>;
  return chromium.launch({ executablePath: CHROMIUM_PATH, args: [...CHROMIUM_FLAGS, ...flags], env });
}

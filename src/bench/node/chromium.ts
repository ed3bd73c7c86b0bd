/** The benchmark pages in headless Chromium: the site is built, served on this machine, and each page opened with `?run`. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build, preview } from 'vite';
import { HysparkError } from '../../errors.ts';
import { HARDWARE_FLAGS, launchChromium } from '../../testing/chromium.ts';
import type { PageState } from '../page/state.ts';
import type { Runner } from './cli.ts';

export interface Pages {
  readonly run: Runner;
  close(): Promise<void>;
}

/** @param adapter `swiftshader` (also when undefined) or `gpu`. */
export async function openPages(adapter = 'swiftshader'): Promise<Pages> {
  if (!['swiftshader', 'gpu'].includes(adapter)) {
    throw new HysparkError('bad-argument', { doing: '--adapter', got: `"${adapter}"`, need: 'swiftshader or gpu' });
  }
  const outDir = mkdtempSync(join(tmpdir(), 'hyspark-bench-'));
  await build({ logLevel: 'error', build: { outDir, emptyOutDir: true } });
  const server = await preview({ build: { outDir }, preview: { port: 0 }, logLevel: 'error' });
  const address = server.resolvedUrls!.local[0]!;
  // Layers are timed launch by launch, which needs the clock that browsers make coarse otherwise.
  const flags = ['--enable-webgpu-developer-features', ...(adapter === 'gpu' ? HARDWARE_FLAGS : [])];
  const browser = await launchChromium(flags);
  return {
    async run(benchmark, given, progress) {
      const page = await browser.newPage();
      try {
        page.on('console', (message) => console.error(`${benchmark.name}: ${message.text()}`));
        page.on('pageerror', (error) => console.error(`${benchmark.name}: ${error.message}`));
        const query = new URLSearchParams({ run: '', ...given });
        await page.goto(`${address}bench/${benchmark.name}.html?${query}`);
        for (;;) {
          const state = await page.evaluate(() => (window as unknown as { __bench: PageState }).__bench);
          if (state.status === 'done') return state.result!;
          if (state.status !== 'running') throw new Error(state.error ?? `the page is ${state.status}`);
          progress(state.progress!);
          await page.waitForTimeout(500);
        }
      } finally {
        await page.close();
      }
    },
    async close() {
      await browser.close();
      await server.close();
      rmSync(outDir, { recursive: true, force: true });
    },
  };
}

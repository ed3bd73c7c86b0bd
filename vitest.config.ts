/**
 * The tests, in one of three runtimes: Node (Dawn) by default, `--mode chromium`, or `--mode deno` when Vitest itself runs
 * under Deno (wgpu). `npm test` runs all three.
 */

import { existsSync } from 'node:fs';
import { playwright } from '@vitest/browser-playwright';
import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config';

/** What touches a GPU is tested in every runtime. A `*.node.test.ts` needs Node itself: files, child processes, Dawn. */
const ENGINE = [
  'src/{gpu,tape,bricks,ops,nn,models,train}/**/*.test.ts',
  'src/{errors,random}.test.ts',
  'src/testing/runtime.test.ts',
];
const NODE_ONLY = ['src/**/*.node.test.ts'];

const CHROMIUM_PLACES = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser'];

/** WebGPU on SwiftShader, and no traffic of the browser's own. */
const CHROMIUM_FLAGS = [
  '--no-sandbox', // Chromium's sandbox refuses root
  '--enable-unsafe-webgpu', // lets software adapters in
  '--use-webgpu-adapter=swiftshader',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-quic',
];

const RUNTIMES: Record<string, TestProjectInlineConfiguration['test']> = {
  node: { include: ['src/**/*.test.ts', 'e2e/**/*.test.ts'], provide: { runtime: 'node' } },
  deno: { include: ENGINE, exclude: NODE_ONLY, provide: { runtime: 'deno' } },
  chromium: {
    include: ENGINE,
    exclude: NODE_ONLY,
    provide: { runtime: 'browser' },
    browser: {
      enabled: true,
      headless: true,
      screenshotFailures: false,
      provider: playwright({
        launchOptions: {
          executablePath: CHROMIUM_PLACES.find((path) => path && existsSync(path)),
          args: CHROMIUM_FLAGS,
        },
      }),
      instances: [{ browser: 'chromium' }],
    },
  },
};

export default defineConfig(({ mode }) => ({
  // Named here so that Vite does not come upon it in mid-run and reload the page.
  optimizeDeps: { include: ['wgsl-preprocessor/wgsl-preprocessor.js'] },
  // Golden data beside the project, for tests in the browser.
  server: { fs: { allow: ['.', '../shared'] } },
  test: {
    ...(RUNTIMES[mode] ?? RUNTIMES.node),
    pool: 'forks',
    // Software adapters take seconds to build a pipeline that is not in their cache.
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
}));

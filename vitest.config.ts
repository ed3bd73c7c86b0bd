/**
 * The tests, in one of three runtimes: Node (Dawn) by default, `--mode chromium`, or `--mode deno` when Vitest itself runs
 * under Deno (wgpu). `npm test` runs all three.
 */

import { availableParallelism } from 'node:os';
import { playwright } from '@vitest/browser-playwright';
import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config';
import { CHROMIUM_FLAGS, CHROMIUM_PATH } from './src/testing/chromium.ts';

/** What touches a GPU is tested in every runtime. A `*.node.test.ts` needs Node itself: files, child processes, Dawn. */
const ENGINE = [
  'src/{gpu,tape,bricks,ops,nn,models,train}/**/*.test.ts',
  'src/{errors,interruption,random}.test.ts',
  'src/testing/runtime.test.ts',
];
const NODE_ONLY = ['src/**/*.node.test.ts'];

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
          executablePath: CHROMIUM_PATH,
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
    // lavapipe builds kernels on one thread, so two files at a time keep two cores at work.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    // Software adapters take seconds to build a pipeline that is not in their cache.
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
}));

import { readdirSync } from 'node:fs';
import { defineConfig, type Plugin } from 'vite';
import { currentCommit } from './src/bench/node/commit.ts';

/**
 * What the page may do, enforced by the browser: it talks to its own address only, so that no scan can leave it. `wasm-unsafe-eval` is for
 * the DICOM converter, `data:` images and `blob:` for pictures that the page makes itself.
 */
export const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "worker-src 'self'",
  "connect-src 'self'",
  "style-src 'self'",
  "img-src 'self' blob: data:",
  "font-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
].join('; ');

/** In the built page, so that it holds wherever that is served from; `preview` sends it as a header too, which workers take it from. */
const policy: Plugin = {
  name: 'content-security-policy',
  apply: 'build',
  transformIndexHtml: () => [
    {
      tag: 'meta',
      attrs: { 'http-equiv': 'Content-Security-Policy', content: CONTENT_SECURITY_POLICY },
      injectTo: 'head-prepend',
    },
  ],
};

const BENCH_PAGES = readdirSync(new URL('bench', import.meta.url)).map((file) => `bench/${file}`);

/** The web app and the benchmark pages: served from any path, workers as modules. */
export default defineConfig({
  base: './',
  // The volume view is large and loaded only when asked for.
  build: { target: 'es2022', chunkSizeWarningLimit: 4000, rolldownOptions: { input: ['index.html', ...BENCH_PAGES] } },
  define: { __COMMIT__: JSON.stringify(currentCommit()) },
  worker: { format: 'es' },
  // dcm2niix finds its worker beside itself, so it must not be bundled in development.
  optimizeDeps: { exclude: ['@niivue/dcm2niix'], include: ['wgsl-preprocessor/wgsl-preprocessor.js'] },
  preview: { headers: { 'Content-Security-Policy': CONTENT_SECURITY_POLICY } },
  plugins: [policy],
});

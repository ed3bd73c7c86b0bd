import { defineConfig } from 'vite';

/** The web app: served from any path, workers as modules. */
export default defineConfig({
  base: './',
  build: { target: 'es2022' },
  worker: { format: 'es' },
});

/**
 * `npm run build:lib`: the npm module in `dist/lib`, a JavaScript file and its types for each TypeScript file, so that the bundler of whoever
 * uses it finds workers and WebAssembly as files and leaves out what is not used. Prints what a page that calls `pretrain` loads.
 */

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { gzipSync } from 'node:zlib';
import { build, type Rolldown } from 'vite';

const OUT = 'dist/lib';

rmSync(OUT, { recursive: true, force: true });
execFileSync('npx', ['tsc', '-p', 'tsconfig.lib.json'], { stdio: 'inherit' });
for (const file of readdirSync(OUT, { recursive: true, encoding: 'utf8' })) {
  if (!file.endsWith('.js')) continue;
  const path = join(OUT, file);
  const text = readFileSync(path, 'utf8');
  // The compiler renames what is imported, but not workers.
  const named = text.replace(/(new URL\('\.[^']*)\.ts(', import\.meta\.url\))/g, '$1.js$2');
  if (named !== text) writeFileSync(path, named);
}
await printSizes();

/** Builds a page as a user of the module would. */
async function printSizes(): Promise<void> {
  const root = mkdtempSync(resolve('dist/page-'));
  try {
    const face = resolve(OUT, 'src/index.js');
    writeFileSync(join(root, 'index.html'), '<!doctype html><script type="module" src="./page.js"></script>');
    writeFileSync(join(root, 'page.js'), `import { pretrain } from ${JSON.stringify(face)}; globalThis.x = pretrain;`);
    const { output } = (await build({
      root,
      configFile: false,
      logLevel: 'error',
      build: { write: false },
    })) as Rolldown.RolldownOutput;
    console.log('A page that calls pretrain loads, minified (gzip):');
    for (const part of output) {
      const bytes = Buffer.from(part.type === 'chunk' ? part.code : part.source);
      const kilobytes = (size: number) => `${(size / 1000).toFixed(1)} kB`.padStart(9);
      if (!part.fileName.endsWith('.html'))
        console.log(`${kilobytes(bytes.length)} (${kilobytes(gzipSync(bytes).length).trim()})  ${part.fileName}`);
    }
  } finally {
    rmSync(root, { recursive: true });
  }
}

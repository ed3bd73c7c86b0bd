/** The npm module as its users get it: packed, laid in a project of its own beside what it depends on, used from a page, Node, types, a shell. */

import { execFileSync, type SpawnSyncReturns, spawnSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import type { Browser } from 'playwright';
import { build, type PreviewServer, preview } from 'vite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { asStateDict, readPth } from '../src/formats/pth.ts';
import { launchChromium } from '../src/testing/chromium.ts';
import { SMALL } from '../src/testing/hyspark.ts';

const project = mkdtempSync(join(tmpdir(), 'package-'));
const installed = join(project, 'node_modules/hyspark-webgpu');
const bin = join(project, 'node_modules/.bin/hyspark');
const scans = join(project, 'scans');
const OPTIONS = { model: SMALL, batch: 1, steps: 3, evaluationCrops: 1, cropsPerScan: 2 };

interface Manifest {
  readonly bin: Readonly<Record<string, string>>;
  readonly dependencies: object;
  readonly optionalDependencies: object;
}

beforeAll(() => {
  execFileSync('npm', ['pack', '--pack-destination', project], { stdio: 'pipe' });
  const tarball = readdirSync(project).find((name) => name.endsWith('.tgz'))!;
  mkdirSync(installed, { recursive: true });
  execFileSync('tar', ['-xzf', join(project, tarball), '-C', installed, '--strip-components', '1']);
  const manifest = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8')) as Manifest;
  // What is not declared as a dependency is not found.
  for (const name of Object.keys({ ...manifest.dependencies, ...manifest.optionalDependencies })) {
    const link = join(project, 'node_modules', name);
    mkdirSync(dirname(link), { recursive: true });
    symlinkSync(resolve('node_modules', name), link);
  }
  mkdirSync(dirname(bin));
  execFileSync('chmod', ['+x', join(installed, manifest.bin.hyspark!)]); // as npm does
  symlinkSync(join(installed, manifest.bin.hyspark!), bin);
  write('package.json', JSON.stringify({ name: 'project', private: true, type: 'module' }));
});
afterAll(() => rmSync(project, { recursive: true }));

function write(path: string, text: string): void {
  mkdirSync(dirname(join(project, path)), { recursive: true });
  writeFileSync(join(project, path), text);
}

function run(command: string, ...args: string[]): SpawnSyncReturns<string> {
  return spawnSync(command, args, { cwd: project, encoding: 'utf8', maxBuffer: 1 << 26 });
}

/** Names of the tensors in a `.pth` of the encoder. */
function encoderKeys(bytes: Uint8Array): string[] {
  return [...asStateDict(readPth(bytes)).keys()].map(String).filter((key) => key.startsWith('embeddings.'));
}

test('the command says what it can do, writes sample scans and looks at them', () => {
  const help = run(bin, '--help');
  expect(help.status).toBe(0);
  for (const command of ['pretrain', 'resume', 'reconstruct', 'export', 'devices', 'demo', 'inspect', 'sample']) {
    expect(help.stdout).toMatch(new RegExp(`^ {2}${command} `, 'm'));
  }
  expect(run(bin, 'sample', '--out', scans, '--count', '3').status).toBe(0);
  const inspected = run(bin, 'inspect', scans);
  expect(inspected.stderr).toBe('');
  expect(inspected.stdout).toContain('3 usable scans, 0 set aside');
});

test('a Node program pre-trains on paths and writes a .pth', () => {
  write(
    'program.js',
    `import { writeFileSync } from 'node:fs';
     import { pretrain } from 'hyspark-webgpu';
     const run = await pretrain(['scans'], ${JSON.stringify({ ...OPTIONS, id: 'node' })}, { cache: 'cache', adapter: process.env.HYSPARK_ADAPTER || undefined });
     const { phase, step } = await run.finished;
     writeFileSync('node.pth', new Uint8Array(await (await run.export('encoder')).arrayBuffer()));
     await run.dispose();
     console.log(phase, step);`,
  );
  const { stdout, stderr } = run(process.execPath, 'program.js');
  expect(stdout, stderr).toBe('finished 3\n');
  expect(encoderKeys(readFileSync(join(project, 'node.pth'))).length).toBeGreaterThan(10);
  expect(readdirSync(join(project, 'runs/node'))).toContain('report.html');
});

test('every face loads in Node, and the README compiles against their types', () => {
  const blocks = [...readFileSync('README.md', 'utf8').matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code]) => code!);
  expect(blocks.length).toBeGreaterThan(1);
  const faces = ['', '/data', '/engine', '/model'].map((face) => `hyspark-webgpu${face}`);
  const loads = faces.map((face) => `console.log(Object.keys(await import('${face}')).length > 5);`).join('\n');
  write('faces.js', loads);
  expect(run(process.execPath, 'faces.js').stdout).toBe('true\n'.repeat(faces.length));

  const given = 'declare const input: HTMLInputElement & { readonly files: FileList };\n';
  for (const [i, block] of blocks.entries()) write(`types/readme-${i}.ts`, given + block);
  write('types/faces.ts', faces.map((face, i) => `export * as face${i} from '${face}';`).join('\n'));
  for (const { include, ...resolution } of [
    { module: 'ESNext', moduleResolution: 'bundler', include: ['types'] },
    { module: 'NodeNext', moduleResolution: 'NodeNext', include: ['types/faces.ts'] }, // the condition `node`
  ]) {
    const compilerOptions = {
      ...resolution,
      target: 'ES2022',
      lib: ['ES2023', 'DOM', 'DOM.Iterable', 'DOM.AsyncIterable'],
      types: [],
      strict: true,
      noEmit: true,
    };
    write('tsconfig.json', JSON.stringify({ compilerOptions, include }));
    const { stdout, status } = run(resolve('node_modules/.bin/tsc'));
    expect(stdout).toBe('');
    expect(status).toBe(0);
  }
});

let browser: Browser | undefined;
let server: PreviewServer | undefined;
afterAll(async () => {
  await browser?.close();
  await server?.close();
});

test('a blank page of Vite pre-trains in the worker and gives a .pth', { timeout: 300_000 }, async () => {
  write('index.html', '<!doctype html><input type="file" multiple><script type="module" src="./page.js"></script>');
  write(
    'page.js',
    `import { filesFromInput, pretrain } from 'hyspark-webgpu';
     window.train = async () => {
       const steps = [];
       const onEvent = (event) => event.type === 'progress' && steps.push(event.progress.step);
       const files = filesFromInput(document.querySelector('input').files);
       const run = await pretrain(files, ${JSON.stringify({ ...OPTIONS, id: 'page' })}, { onEvent });
       const { phase, error } = await run.finished;
       const weights = [...new Uint8Array(await (await run.export('encoder')).arrayBuffer())];
       const report = await (await run.file('report.html')).text();
       await run.dispose();
       return { phase, error, steps, weights, report };
     };`,
  );
  await build({ root: project, configFile: false, logLevel: 'error' });
  const assets = readdirSync(join(project, 'dist/assets')).map((name) => name.replace(/-[\w-]{8}\./, '.'));
  for (const worker of ['engine-worker.js', 'loader-worker.js', 'data-worker.js']) expect(assets).toContain(worker);
  expect(assets.some((name) => name.endsWith('.wasm'))).toBe(true);
  const main = readdirSync(join(project, 'dist/assets')).find((name) => name.startsWith('index-'))!;
  // The engine is in its worker and not in the page.
  expect(statSync(join(project, 'dist/assets', main)).size).toBeLessThan(20_000);

  server = await preview({ root: project, configFile: false, logLevel: 'error' });
  browser = await launchChromium();
  const page = await browser.newPage();
  await page.goto(server.resolvedUrls!.local[0]!);
  await page.setInputFiles(
    'input',
    readdirSync(scans).map((name) => join(scans, name)),
  );
  const result = (await page.evaluate('train()')) as Record<string, unknown> & { weights: number[] };
  expect(result).toMatchObject({ phase: 'finished', error: undefined, steps: [1, 2, 3] });
  expect(encoderKeys(Uint8Array.from(result.weights)).length).toBeGreaterThan(10);
  expect(result.report).toContain('finished');
});

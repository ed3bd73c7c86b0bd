/**
 * The web app as built and served, in headless Chromium on a software adapter: from sample scans to weights on disk, with a reload in the
 * middle; real scans and bad files dropped; the capability page without WebGPU. Throughout: no request to another origin, nothing on the
 * console, no serious finding of axe.
 */

import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import AxeBuilder from '@axe-core/playwright';
import { type BrowserContext, chromium, type Page } from 'playwright';
import { type PreviewServer, preview } from 'vite';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { readPth } from '../src/formats/pth.ts';
import { sharedPath, testWithShared } from '../src/testing/shared.ts';

const CHROMIUM = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser'].find(
  (path) => path && existsSync(path),
);
const FLAGS = ['--no-sandbox', '--no-first-run', '--disable-background-networking', '--disable-component-update'];
const WEBGPU = ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader'];
/** Pictures of every state are left here when it is set. */
const SHOTS = process.env.HYSPARK_SHOTS;
/** What a browser says of its own software renderer is not the page's. */
const NOT_OURS = /GL Driver Message|software|Automatic fallback|powerPreference/i;

let server: PreviewServer;
let address: string;
const folders: string[] = [];
let context: BrowserContext;
/** Requests elsewhere, console messages and uncaught errors of every page: none is expected. */
const complaints: string[] = [];

beforeAll(async () => {
  const outDir = temporary();
  // As a process of its own: Vitest's environment would make it a build for development.
  const env = { ...process.env, NODE_ENV: 'production' };
  execFileSync('npx', ['vite', 'build', '--logLevel', 'error', '--emptyOutDir', '--outDir', outDir], { env });
  server = await preview({ build: { outDir }, preview: { port: 0 } });
  address = server.resolvedUrls!.local[0]!;
}, 300_000);

afterEach(async () => {
  await context?.close();
  expect(complaints.splice(0)).toEqual([]);
});

afterAll(async () => {
  await server?.close();
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

function temporary(): string {
  const folder = mkdtempSync(join(tmpdir(), 'hyspark-app-'));
  folders.push(folder);
  return folder;
}

async function open(path = '', flags = WEBGPU): Promise<Page> {
  context = await chromium.launchPersistentContext(temporary(), {
    executablePath: CHROMIUM,
    args: [...FLAGS, ...flags],
    viewport: { width: 1280, height: 720 },
    reducedMotion: 'reduce',
  });
  context.on('request', (request) => {
    const { protocol, origin } = new URL(request.url());
    if (!['blob:', 'data:'].includes(protocol) && !address.startsWith(origin)) complaints.push(request.url());
  });
  const page = await context.newPage();
  page.setDefaultTimeout(120_000);
  page.on('pageerror', (error) => complaints.push(error.stack ?? error.message));
  page.on('console', (message) => {
    const loud = ['error', 'warning'].includes(message.type());
    if (loud && !NOT_OURS.test(message.text())) complaints.push(message.text());
  });
  await page.addInitScript(() => {
    const long: number[] = [];
    Object.assign(window, { longTasks: long });
    new PerformanceObserver((list) => long.push(...list.getEntries().map(({ duration }) => duration))).observe({
      type: 'longtask',
    });
  });
  await page.goto(address + path);
  return page;
}

async function shot(page: Page, name: string): Promise<void> {
  if (SHOTS) await page.screenshot({ path: join(SHOTS, `${name}.png`), timeout: 60_000 });
}

/** Serious and critical violations, as text. */
async function violations(page: Page): Promise<string[]> {
  const { violations: found } = await new AxeBuilder({ page }).analyze();
  return found
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`);
}

/** Drops files and folders on the page, as a file manager does. */
async function drop(page: Page, paths: readonly string[]): Promise<void> {
  const session = await context.newCDPSession(page);
  const data = { items: [], files: paths.map((path) => resolve(path)), dragOperationsMask: 1 };
  for (const type of ['dragEnter', 'dragOver', 'drop'] as const) {
    await session.send('Input.dispatchDragEvent', { type, x: 640, y: 360, data });
    if (type === 'dragOver') await page.getByText('Drop scans, or folders of scans').waitFor();
  }
}

async function addSamples(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'Try with sample scans' }).click();
  await page.waitForFunction(() => document.querySelectorAll('.scan.ready').length === 6);
}

async function set(page: Page, label: string, value: string): Promise<void> {
  await page.getByLabel(label, { exact: true }).fill(value);
}

async function stepOf(page: Page): Promise<number> {
  return Number((await page.locator('.numbers dd').first().innerText()).split('/')[0]) || 0;
}

async function waitForStep(page: Page, step: number): Promise<void> {
  const reached = (least: number) => Number.parseInt(document.querySelector('.numbers dd')!.textContent!, 10) >= least;
  await page.waitForFunction(reached, step, { timeout: 900_000 });
}

/** What a file that the page gives out holds. */
async function downloaded(page: Page, button: string): Promise<{ name: string; bytes: Buffer }> {
  const [download] = await Promise.all([
    page.waitForEvent('download', { timeout: 300_000 }),
    page.getByRole('button', { name: button, exact: true }).click(),
  ]);
  return { name: download.suggestedFilename(), bytes: readFileSync(await download.path()) };
}

function hasTorch(): boolean {
  try {
    execFileSync('python3', ['-c', 'import torch'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

describe('with WebGPU', () => {
  test('sample scans, training, pause, reload, resume, weights', async () => {
    const page = await open();
    const policy = await page.request.head(address);
    expect(policy.headers()['content-security-policy']).toContain("connect-src 'self';");
    expect(await page.locator('meta[http-equiv]').getAttribute('content')).toContain("connect-src 'self';");
    await shot(page, 'welcome');
    expect(await violations(page)).toEqual([]);
    await addSamples(page);
    await page.locator('.readout', { hasText: 'HU' }).waitFor(); // the viewer has the first one
    await shot(page, 'scans');
    expect(await violations(page)).toEqual([]);

    await page.getByRole('button', { name: 'Train on these' }).click();
    await page.getByText('More settings').click();
    await set(page, 'Mask ratio', '1.5');
    await page.getByText('1.5 does not do').or(page.locator('.field.wrong')).first().waitFor();
    await shot(page, 'wrong-setting');
    for (const [label, value] of [
      ['Mask ratio', '0.5'],
      ['Batch', '1'],
      ['Length', '24'],
      ['Learning rate', '0.004'],
      ['Crop', '32'],
      ['Judged crops', '2'],
      ['Judge every', '4'],
    ] as const) {
      await set(page, label, value);
    }
    await page.getByText('fits', { exact: true }).waitFor();
    await shot(page, 'configure');
    expect(await violations(page)).toEqual([]);

    await page.getByRole('button', { name: 'Pre-train' }).click();
    await page.getByRole('button', { name: 'Pause' }).waitFor({ timeout: 600_000 });
    await waitForStep(page, 8);
    await page.locator('.panels').waitFor();
    await shot(page, 'training');
    expect(await violations(page)).toEqual([]);
    await page.getByRole('button', { name: 'Pause' }).click();
    await page.getByRole('button', { name: 'Resume' }).waitFor();
    const paused = await stepOf(page);
    expect(paused).toBeGreaterThanOrEqual(8);
    await shot(page, 'paused');

    await page.reload();
    await page.getByText(`was interrupted after step ${paused} of 24`).waitFor();
    await page.waitForFunction(() => !document.querySelector<HTMLButtonElement>('.notice button.primary')?.disabled);
    await shot(page, 'offer');
    await page.getByRole('button', { name: 'Continue it' }).click();
    await page.getByText('Finished').waitFor({ timeout: 900_000 });
    expect(await stepOf(page)).toBe(24);
    await shot(page, 'finished');

    // Told, not judged: it depends on what else the machine does.
    const longest = await page.evaluate(() => Math.max(0, ...(window as unknown as { longTasks: number[] }).longTasks));
    console.log(`Longest task on the main thread since the reload: ${Math.round(longest)} ms`);

    await page.getByRole('button', { name: 'Take the weights' }).click();
    await page.getByRole('button', { name: 'Report', exact: true }).waitFor();
    await page.locator('img.picture').waitFor();
    await shot(page, 'runs');
    expect(await violations(page)).toEqual([]);
    const rows = (await downloaded(page, 'Metrics')).bytes
      .toString()
      .trim()
      .split('\n')
      .map((row) => JSON.parse(row));
    const steps = rows.filter(({ kind }) => kind === 'step');
    expect(steps.map(({ step }) => step)).toEqual(Array.from({ length: 24 }, (_, i) => i + 1));
    // The same crops and masks each time, so that what falls is the loss and not the difficulty.
    const judged = rows.filter(({ kind }) => kind === 'evaluation').map(({ loss }) => loss as number);
    expect(judged.length).toBeGreaterThanOrEqual(6);
    expect(judged.at(-1)).toBeLessThan(judged[0]!);

    const full = await downloaded(page, 'Full model .pth');
    expect(full.name).toMatch(/^hyspark-.*-best\.pth$/);
    expect(Object.keys(readPth(full.bytes) as object).length).toBeGreaterThan(0);
    const encoder = await downloaded(page, 'Encoder .pth');
    expect(encoder.bytes.length).toBeLessThan(full.bytes.length);
    if (hasTorch()) {
      const file = join(temporary(), 'full.pth');
      writeFileSync(file, full.bytes);
      execFileSync('python3', ['-c', `import torch; assert torch.load(${JSON.stringify(file)}, map_location='cpu')`]);
    }
    expect((await downloaded(page, 'Report')).bytes.toString()).toContain('<html');

    await page.getByRole('button', { name: 'Delete this run…' }).click();
    await page.getByRole('button', { name: /^Delete \d/ }).click();
    await page.getByText('No runs yet').waitFor();
  }, 3_000_000);

  testWithShared('ct')(
    'drops of real scans are listed, bad ones with their reason',
    async () => {
      const page = await open();
      await drop(page, ['ct/nifti/totalseg_example_ct_sm.nii.gz', 'ct/dicom/cip_chest64'].map(sharedPath));
      await page.waitForFunction(() => document.querySelectorAll('.scan.ready').length === 2);
      const bad = join(temporary(), 'not-a-scan.nii.gz');
      writeFileSync(bad, 'This is text.');
      await drop(page, [bad, sharedPath('ct/hostile')]);
      await page.locator('.scan.bad').first().waitFor();
      await page.waitForFunction(() => !document.querySelector('.reading'));
      const reasons = await page.locator('.scan.bad').allInnerTexts();
      expect(reasons.find((text) => text.includes('not-a-scan'))).toContain('NIfTI');
      for (const reason of await page.locator('.scan.bad .facts').allInnerTexts()) expect(reason).toMatch(/\.$/);
      const texts = await page.locator('.scan.ready').allInnerTexts();
      expect(texts.join('\n')).toContain('DICOM');
      expect(texts.join('\n')).toContain('64 × 64 × 79');
      await page.locator('.scan.ready .scan-main', { hasText: 'DICOM' }).click();
      await page.locator('.readout', { hasText: 'HU' }).waitFor();
      await page.getByLabel('axial slice', { exact: true }).focus();
      const before = await page.locator('.readout').innerText();
      await page.keyboard.press('ArrowRight');
      await expect.poll(() => page.locator('.readout').innerText()).not.toBe(before);
      await shot(page, 'real-scans');
      expect(await violations(page)).toEqual([]);
    },
    600_000,
  );
});

test('without WebGPU the page says what was found and what to switch on', async () => {
  const page = await open('#device', ['--disable-gpu', '--disable-features=WebGPU,WebGPUService']);
  await page.locator('.message.bad').waitFor();
  await page.getByRole('heading', { name: 'What to switch on' }).waitFor();
  expect(await page.locator('.findings').innerText()).toContain('None answered');
  await shot(page, 'no-webgpu');
  expect(await violations(page)).toEqual([]);
  await page.getByRole('link', { name: 'Train', exact: true }).click();
  expect(await page.getByRole('button', { name: 'Pre-train' }).isDisabled()).toBe(true);
}, 300_000);

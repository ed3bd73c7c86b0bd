/**
 * The web app in Chromium, from sample scans to weights on disk, as a person would: with a pause, a reload in the middle, a second tab, a full
 * disk and a lost GPU. A long story in one test, because building a network's pipelines takes a software adapter half a minute.
 */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from 'playwright';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { readPth } from '../src/formats/pth.ts';
import { WITH_WEBGPU } from '../src/testing/chromium.ts';
import { hasTorch, runPython, torchNote } from '../src/testing/python.ts';
import {
  App,
  downloaded,
  expectNarrowWidths,
  expectUsable,
  focused,
  hideAndShow,
  longTasks,
  shot,
  temporary,
  wakeLocks,
} from './app-page.ts';

const STEPS = 24;

let app: App;

beforeAll(async () => {
  app = await App.serve();
}, 300_000);
afterEach(() => app.noComplaints());
afterAll(() => app?.close());

async function set(page: Page, label: string, value: string): Promise<void> {
  await page.getByLabel(label, { exact: true }).fill(value);
}

async function stepOf(page: Page): Promise<number> {
  return Number.parseInt(await page.locator('.numbers dd').first().innerText(), 10) || 0;
}

async function waitForStep(page: Page, step: number): Promise<void> {
  const reached = (least: number) =>
    Number.parseInt(document.querySelector('.numbers dd')?.textContent ?? '', 10) >= least;
  await page.waitForFunction(reached, step, { timeout: 900_000 });
}

async function waitForScans(page: Page): Promise<void> {
  await page.waitForFunction(() => document.querySelector('nav .count')?.textContent === '6');
}

test(`from sample scans to weights${torchNote}`, async () => {
  const page = await app.open('', [...WITH_WEBGPU, '--disable-domain-blocking-for-3d-apis']);
  const policy = await page.request.head(app.address);
  expect(policy.headers()['content-security-policy']).toContain("connect-src 'self';");
  expect(await page.locator('meta[http-equiv]').getAttribute('content')).toContain("connect-src 'self';");
  await expectUsable(page, 'welcome');
  await expectNarrowWidths(page, 'welcome');
  await page.getByRole('button', { name: 'Try with sample scans' }).click();
  await waitForScans(page);
  await page.locator('.readout b').waitFor(); // the viewer has the first one
  await shot(page, 'scans');

  await page.getByRole('button', { name: 'Train on these' }).click();
  await page.getByText('More settings').click();
  await set(page, 'Mask ratio', '1.5');
  await page.locator('.field.wrong', { hasText: 'cannot be used' }).waitFor();
  expect(await page.getByRole('button', { name: 'Pre-train' }).isDisabled()).toBe(true);
  await shot(page, 'wrong-setting');
  for (const [label, value] of [
    ['Mask ratio', '0.25'],
    ['Length', String(STEPS)],
    ['Learning rate', '0.02'],
    ['Crop', '32'],
    ['Judged crops', '2'],
    ['Judge every', '4'],
  ] as const) {
    await set(page, label, value);
  }
  await page.getByText('fits', { exact: true }).waitFor();
  await expectUsable(page, 'configure');
  await expectNarrowWidths(page, 'configure');

  await longTasks(page); // axe's own
  await set(page, 'Learning rate', '0.01');
  await page.keyboard.press('Enter'); // before the plan is there
  await page.getByText('Building pipelines').first().waitFor();
  await shot(page, 'preparing');
  // Cancelled, it was never there; then the form is back as it was.
  await page.getByRole('button', { name: 'Cancel' }).click();
  await page.getByRole('button', { name: 'Pre-train' }).click({ timeout: 600_000 });
  await page.getByRole('button', { name: 'Pause' }).waitFor({ timeout: 600_000 });
  expect(await wakeLocks(page)).toEqual({ asked: 2, held: 1 });
  await page.locator('.panels').waitFor({ timeout: 600_000 }); // of the untrained network
  await page.locator('.sliders output', { hasText: 'step 4,' }).waitFor({ timeout: 600_000 });
  await shot(page, 'training');

  // One tab writes a run, others see that.
  const other = await app.tab('#runs');
  await other.getByText('Under way in another tab').waitFor();
  expect(await other.getByRole('button', { name: 'Delete this run…' }).isDisabled()).toBe(true);
  expect(await other.getByRole('button', { name: 'Continue' }).count()).toBe(0);
  await other.close();
  await hideAndShow(page);
  await expect.poll(() => wakeLocks(page)).toEqual({ asked: 3, held: 1 });

  await page.getByRole('button', { name: 'Pause' }).focus();
  await page.keyboard.press('Enter');
  await page.getByText('Pausing after this step…').waitFor();
  await page.getByRole('button', { name: 'Resume' }).waitFor();
  expect(await focused(page)).toBe('Resume'); // where the focus was
  const paused = await stepOf(page);
  expect(paused).toBeGreaterThanOrEqual(4);
  expect((await wakeLocks(page)).held).toBe(0);
  console.log(`Longest tasks of the main thread while training, ms: ${(await longTasks(page)).join(', ')}`);
  await page.getByLabel('log scale').check();
  await expectUsable(page, 'paused');
  await expectNarrowWidths(page, 'paused');

  await page.reload();
  await page.getByText(`was interrupted after step ${paused} of ${STEPS}`).waitFor();
  await waitForScans(page);
  await shot(page, 'offer');
  await page.getByRole('button', { name: 'Continue it' }).click();
  await waitForStep(page, paused + 1);

  // A full disk is said in a sentence, and the run goes on.
  await app.setQuota(page, 1);
  await page.locator('.message.warn', { hasText: 'no space left' }).waitFor({ timeout: 600_000 });
  await shot(page, 'full-disk');
  await app.setQuota(page);
  await page.getByRole('button', { name: 'Dismiss' }).click();

  // The GPU's process dies: the run goes on from its checkpoint on a new device.
  await app.crashGpu(page);
  await page.locator('.message.warn', { hasText: 'The GPU was lost' }).waitFor({ timeout: 600_000 });
  await shot(page, 'lost-gpu');

  await page.getByText('Finished').waitFor({ timeout: 900_000 });
  expect(await stepOf(page)).toBe(STEPS);
  // History, from the newest back to the first: what the run was continued from.
  await page.getByLabel('History').focus();
  await page.keyboard.press('Home');
  await page.locator('.sliders output', { hasText: `step ${paused},` }).waitFor();
  await shot(page, 'finished');
  console.log(`Longest tasks of the main thread since the reload, ms: ${(await longTasks(page)).join(', ')}`);

  const name = (await page.locator('.run-name').innerText()).trim();
  await page.getByRole('button', { name: 'Take the weights' }).click();
  await page.getByRole('heading', { name }).waitFor();
  expect(page.url()).toMatch(/#runs\/\d{4}-\d\d-\d\dT/);
  const visited = await page.evaluate(() => history.length);
  await page.getByRole('link', { name: 'Runs' }).click(); // is open already
  expect(await page.evaluate(() => history.length)).toBe(visited);
  await page.getByRole('button', { name: 'Report', exact: true }).waitFor();
  await page.locator('img.picture').waitFor();
  await expectUsable(page, 'runs');
  await expectNarrowWidths(page, 'runs');
  const metrics = (await downloaded(page, 'Metrics')).bytes.toString().trim().split('\n');
  const rows = metrics.map((row) => JSON.parse(row));
  const steps = rows.filter(({ kind }) => kind === 'step').map(({ step }) => step);
  expect(steps).toEqual(Array.from({ length: STEPS }, (_, i) => i + 1));
  // The same crops and masks each time, so that what falls is the loss and not the difficulty.
  const judged: number[] = rows.filter(({ kind }) => kind === 'evaluation').map(({ loss }) => loss);
  console.log(`Held-out losses: ${judged.map((loss) => loss.toFixed(4)).join(', ')}`);
  expect(judged.length).toBeGreaterThanOrEqual(STEPS / 4);
  expect(judged.at(-1)).toBeLessThan(judged[0]!);

  const full = await downloaded(page, 'Full model .pth');
  expect(full.name).toMatch(/^hyspark-.*-best\.pth$/);
  expect((readPth(full.bytes) as Map<string, unknown>).size).toBeGreaterThan(0);
  const encoder = await downloaded(page, 'Encoder .pth');
  expect(encoder.bytes.length).toBeLessThan(full.bytes.length);
  if (hasTorch) {
    for (const { name, bytes } of [full, encoder]) {
      const file = join(temporary(), name);
      writeFileSync(file, bytes);
      runPython("import sys, torch; assert len(torch.load(sys.argv[1], map_location='cpu')) > 0", file);
    }
  }
  expect((await downloaded(page, 'Report')).bytes.toString()).toContain('<html');
  expect((await downloaded(page, 'Download')).bytes.subarray(1, 4).toString()).toBe('PNG');

  // Weights to start from: of a stored run, and from a file.
  const own = await downloaded(page, '.safetensors');
  await page.getByRole('button', { name: 'Start from these' }).click();
  await page.locator('.weights .chip', { hasText: 'best' }).waitFor();
  expect(await page.locator('#field-crop').inputValue()).toBe('32');
  await page.getByRole('button', { name: 'Remove' }).click();
  await page.getByLabel('Weights').setInputFiles({ name: own.name, mimeType: '', buffer: own.bytes });
  await page.locator('.weights .chip', { hasText: own.name }).waitFor();

  // A newer run comes while the deletion of this one is confirmed: it is not the one that goes.
  await page.getByRole('link', { name: 'Runs' }).click();
  await page.getByRole('button', { name: 'Delete this run…' }).click();
  await copyRun(page, 'newer');
  await hideAndShow(page);
  await page.locator('.run-row').first().getByText('newer').waitFor();
  await page.getByRole('button', { name: /^Delete \d/ }).click();
  await expect.poll(() => page.locator('.run-row').count()).toBe(1);
  await page.getByRole('heading', { name: 'newer' }).waitFor();
  await page.getByRole('button', { name: 'Delete this run…' }).click();
  await page.getByRole('button', { name: /^Delete \d/ }).click();
  await page.getByText('No runs yet').waitFor();

  // What is left of the scans goes too.
  await page.locator('hy-storage', { hasText: 'Prepared scans' }).waitFor();
  await page.getByRole('button', { name: 'Delete prepared scans' }).click();
  await expect.poll(() => page.locator('hy-storage').innerText()).toBe('');
}, 3_000_000);

/** The only stored run a second time, as a newer one. */
async function copyRun(page: Page, id: string): Promise<void> {
  await page.evaluate(async (name) => {
    type Folder = FileSystemDirectoryHandle & { values(): AsyncIterableIterator<FileSystemHandle> };
    const root = await navigator.storage.getDirectory();
    const runs = (await (await root.getDirectoryHandle('hyspark')).getDirectoryHandle('runs')) as Folder;
    let first: Folder | undefined;
    for await (const run of runs.values()) first = run as Folder;
    const to = await runs.getDirectoryHandle(name, { create: true });
    for await (const entry of first!.values()) {
      if (entry.kind !== 'file') continue;
      const file = await (entry as FileSystemFileHandle).getFile();
      const config =
        entry.name === 'config.json' && JSON.stringify({ ...JSON.parse(await file.text()), created: Date.now() });
      const stream = await (await to.getFileHandle(entry.name, { create: true })).createWritable();
      await stream.write(config || file);
      await stream.close();
    }
  }, id);
}

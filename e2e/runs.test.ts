/** Runs in Chromium's worker that lose their tab, or their GPU: they end with the same bits as one that nothing happened to. */

import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, BrowserContext, Page } from 'playwright';
import { createServer, type ViteDevServer } from 'vite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { writeSamples } from '../src/node/commands/sample.ts';
import { launchChromium } from '../src/testing/chromium.ts';

const CLOSINGS = 3;

interface Ended {
  readonly phase: string;
  readonly step: number;
  readonly hash: string;
  readonly losses: readonly string[];
  readonly leftovers: readonly string[];
}

const scans = mkdtempSync(join(tmpdir(), 'runs-'));
let server: ViteDevServer;
let browser: Browser;
/** One profile, whose private files outlive its pages. */
let context: BrowserContext;
let expected: Ended;

beforeAll(async () => {
  await writeSamples(scans, 3, 1, false);
  // dcm2niix finds its worker beside itself, so it must not be bundled.
  const optimizeDeps = {
    exclude: ['@niivue/dcm2niix'],
    include: ['comlink', 'fflate', 'nifti-reader-js', 'wgsl-preprocessor/wgsl-preprocessor.js'],
  };
  server = await createServer({ root: '.', logLevel: 'error', optimizeDeps, server: { watch: null } });
  await server.listen();
  browser = await launchChromium();
  context = await browser.newContext();
  const { page } = await open();
  expected = await train(page, 'whole');
  expect(expected).toMatchObject({ phase: 'finished', step: 8 });
  await page.close();
}, 400_000);

afterAll(async () => {
  await browser?.close();
  await server?.close();
  rmSync(scans, { recursive: true });
});

/** A page with the scans chosen, and what its run tells. */
async function open(): Promise<{ page: Page; told: string[]; waitFor(what: RegExp): Promise<string> }> {
  const page = await context.newPage();
  const told: string[] = [];
  let heard = () => {};
  await page.exposeFunction('tell', (what: string) => {
    told.push(what);
    heard();
  });
  await page.goto(`${server.resolvedUrls!.local[0]}e2e/runs.html`);
  await page.waitForFunction('window.train');
  await page.setInputFiles(
    'input',
    readdirSync(scans).map((name) => join(scans, name)),
  );
  const waitFor = (what: RegExp) =>
    new Promise<string>((resolve) => {
      heard = () => {
        const found = told.find((text) => what.test(text));
        if (found) resolve(found);
      };
      heard();
    });
  return { page, told, waitFor };
}

function train(page: Page, id: string): Promise<Ended> {
  return page.evaluate(`train('${id}')`);
}

test(`its tab closed at ${CLOSINGS} random moments, a run ends with the same bits`, { timeout: 600_000 }, async () => {
  for (let i = 0; i < CLOSINGS; i++) {
    const { page, told, waitFor } = await open();
    const ended = train(page, 'closed').catch(() => undefined);
    await Promise.race([ended, waitFor(Math.random() < 0.3 ? /^training$/ : /^step/)]);
    await new Promise((resolve) => setTimeout(resolve, 300 * Math.random()));
    expect(told).not.toContain('finished');
    await page.close();
    expect(await ended).toBeUndefined();
  }
  const { page, told } = await open();
  const ended = await train(page, 'closed');
  expect(told.join('\n')).toMatch(/Continuing from step \d/);
  expect({ ...ended, leftovers: [] }).toEqual(expected);
  expect(ended.leftovers).toEqual([]);
  await page.close();
});

test('its GPU process killed, a run goes on from the checkpoint to the same bits', { timeout: 400_000 }, async () => {
  const { page, told, waitFor } = await open();
  const running = train(page, 'crashed');
  await waitFor(/^step 3$/);
  const session = await browser.newBrowserCDPSession();
  await session.send('Browser.crashGpuProcess');
  const ended = await running;
  expect(told.join('\n')).toMatch(/The GPU was lost after step \d+; the run goes on from step \d+ on a new device/);
  expect(ended).toEqual(expected);
  await page.close();
});

test('an engine whose worker ends, or cannot be loaded, says so to whoever asks', async () => {
  const ended = await open();
  const dead = ended.page.evaluate('askDead()');
  await ended.waitFor(/alive/);
  const workers = ended.page.workers();
  expect(workers.length).toBe(1);
  await workers[0]!.evaluate('self.close()');
  expect(await dead).toEqual({
    died: 'its worker stopped',
    answer: 'Using the engine: got its worker stopped.',
  });
  await ended.page.close();

  const { page } = await open();
  await page.route('**/engine-worker*', (route) => route.abort());
  expect(await page.evaluate('askDead()')).toEqual({
    died: 'its worker could not be loaded',
    answer: 'Using the engine: got its worker could not be loaded.',
  });
  await page.close();
});

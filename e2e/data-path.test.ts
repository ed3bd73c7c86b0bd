/** The data path in Chromium: the same audit and the same crops as in Node, DICOM included, and the OPFS store. */

import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright';
import { createServer, type ViteDevServer } from 'vite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openDataset } from '../src/data/dataset.ts';
import { inspect } from '../src/data/inspect.ts';
import { DataLoader } from '../src/data/loader.ts';
import { createDataPool } from '../src/node/data-pool.ts';
import { findFiles } from '../src/node/files.ts';
import { nodePlatform } from '../src/node/platform.ts';
import { launchChromium } from '../src/testing/chromium.ts';
import { sharedPath, testWithShared } from '../src/testing/shared.ts';

let server: ViteDevServer;
let browser: Browser;
let page: Page;

beforeAll(async () => {
  // dcm2niix finds its worker beside itself, so it must not be bundled.
  server = await createServer({ root: '.', logLevel: 'error', optimizeDeps: { exclude: ['@niivue/dcm2niix'] } });
  await server.listen();
  browser = await launchChromium();
  page = await browser.newPage();
  page.on('pageerror', (error) => console.error(error));
  await page.goto(`${server.resolvedUrls!.local[0]}e2e/data-path.html`);
  await page.waitForFunction('window.dataPath');
}, 120_000);

afterAll(async () => {
  await browser?.close();
  await server?.close();
});

test('the OPFS store reads, writes, appends, lists and removes', async () => {
  expect(await page.evaluate('dataPath.useStore()')).toEqual({
    whole: '0123456789ab',
    part: '89ab',
    list: [
      { path: 'runs/a/log', size: 12 },
      { path: 'runs/b', size: 3 },
    ],
    missing: 'reading "nothing": got no such file.',
    noSize: true,
    replaced: 'new',
    free: true,
    left: 0,
  });
});

test('a full OPFS is told apart and keeps what was there', async () => {
  const session = await page.context().newCDPSession(page);
  const origin = new URL(page.url()).origin;
  await session.send('Storage.overrideQuotaForOrigin', { origin, quotaSize: 1 << 20 });
  const result = await page.evaluate('dataPath.fillStore()');
  await session.send('Storage.overrideQuotaForOrigin', { origin });
  expect(result).toEqual({
    full: true,
    message: expect.stringContaining('no space left. Free some space'),
    kept: [{ path: 'big', size: 65536 }],
  });
});

testWithShared('ct')('a browser gives the same audit and crops as Node, from NIfTI and DICOM', async () => {
  const dicom = readdirSync(sharedPath('ct/dicom/cip_chest64')).map((name) => join('ct/dicom/cip_chest64', name));
  const nifti = ['ct/nifti/totalseg_example_ct_sm.nii.gz', 'ct/nifti/cip_lm-64.nii.gz'];
  const paths = [...dicom, ...nifti].map(sharedPath);
  await page.setInputFiles('input', paths);
  const inBrowser = (await page.evaluate('dataPath.run()')) as Record<string, unknown> & { batches: string[] };

  const files = await findFiles(paths);
  const pool = createDataPool(1);
  const { scans, setAside } = await inspect(files, nodePlatform, pool);
  const dataset = await openDataset(files, nodePlatform);
  const loader = new DataLoader(dataset.scans, pool, undefined, { seed: 3, batch: 2, crop: 48, heldOut: 0 });
  const batches: string[] = [];
  for (let i = 0; i < 12; i++) {
    const { voxels, crops, cursor } = await loader.next();
    let sum = 0;
    for (let at = 0; at < voxels.length; at++) sum += voxels[at]! * ((at % 1013) + 1);
    batches.push(JSON.stringify([sum, crops, cursor]));
  }
  loader.close();
  pool.close();
  expect(scans.length).toBe(2);
  // Node puts the second folder's files below its name; an input tells no folders.
  const bare = (list: readonly { readonly path: string }[]): unknown =>
    JSON.parse(JSON.stringify(list.map((each) => ({ ...each, path: each.path.replace('nifti/', '') }))));
  expect(inBrowser.scans).toEqual(bare(scans));
  expect(inBrowser.setAside).toEqual(bare(setAside));
  expect(inBrowser.batches).toEqual(batches);
  expect(inBrowser.cached).toBeGreaterThan(0);
  expect(inBrowser.cacheBytes).toBeGreaterThan(1e6);
  expect(inBrowser.early).toBe('bad-state'); // errors cross with their code
});

/** The web app in Chromium, without training: real scans and bad files dropped, the viewer, the volume view; the page without WebGPU. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { WITHOUT_WEBGPU } from '../src/testing/chromium.ts';
import { sharedPath, testWithShared } from '../src/testing/shared.ts';
import { App, expectNarrowWidths, expectUsable, focused, shot, temporary } from './app-page.ts';

const WAIT = { timeout: 60_000 };

let app: App;

beforeAll(async () => {
  app = await App.serve();
}, 300_000);
afterEach(() => app.noComplaints());
afterAll(() => app?.close());

test('a bad file is listed with its reason, and can be removed', async () => {
  const page = await app.open();
  const bad = join(temporary(), 'not-a-scan.nii.gz');
  writeFileSync(bad, 'This is text.');
  await app.drop(page, [bad]);
  await page.locator('.scan.bad', { hasText: 'not-a-scan' }).getByText('NIfTI').waitFor();
  expect(await page.getByRole('button', { name: 'Train on these' }).isDisabled()).toBe(true);
  await page.getByRole('button', { name: 'Remove not-a-scan.nii.gz' }).click();
  await page.getByText('Drop scans or folders anywhere').waitFor();
}, 120_000);

testWithShared('ct')(
  'real scans are dropped, listed and looked at',
  async () => {
    const page = await app.open();
    await app.drop(page, ['ct/nifti/totalseg_example_ct_sm.nii.gz', 'ct/dicom/cip_chest64'].map(sharedPath));
    await page.waitForFunction(() => document.querySelectorAll('.scan.ready').length === 2);
    await app.drop(page, [sharedPath('ct/hostile')]);
    await page.locator('.scan.bad').first().waitFor();
    await page.waitForFunction(() => !document.querySelector('.reading'));
    for (const reason of await page.locator('.scan.bad .facts').allInnerTexts()) expect(reason).toMatch(/\.$/);
    const dicom = page.locator('.scan.ready', { hasText: 'cip_chest64 (79 DICOM files)' });
    expect(await dicom.innerText()).toContain('64 × 64 × 79');
    await dicom.locator('.scan-main').click();

    const readout = page.locator('.readout b');
    await readout.filter({ hasText: 'HU' }).waitFor();
    await page.getByRole('button', { name: 'Bone', exact: true }).click();
    expect(await page.getByLabel('Width').inputValue()).toBe('2500');
    const place = page.locator('.readout span').first();
    const before = await place.innerText();
    expect(before).toMatch(/^[RL] [\d.]+ · [AP] [\d.]+ · [SI] [\d.]+ mm$/);
    await page.getByLabel('axial slice', { exact: true }).focus();
    await page.keyboard.press('ArrowRight');
    await expect.poll(() => place.innerText()).not.toBe(before);
    await page.locator('canvas[data-plane=coronal]').click({ position: { x: 200, y: 100 } });
    await expectUsable(page, 'real-scans');
    await expectNarrowWidths(page, 'real-scans');

    await page.getByRole('button', { name: 'Volume view' }).click();
    await page.locator('hy-volume:not(:has(.spinner)) canvas').waitFor();
    expect(await focused(page)).toBe('Facts');
    await page.waitForTimeout(500); // it draws in its own time
    await shot(page, 'volume');
    await page.getByRole('button', { name: 'Facts' }).click();
    await page.getByText('Known to runs as').waitFor();
    expect(await focused(page)).toBe('Volume view');
  },
  300_000,
);

test('sample scans that were removed stay removed; an empty folder is told', async () => {
  const page = await app.open();
  await app.drop(page, [temporary()]);
  await page.getByText('the folder is empty').waitFor();
  const ready = (count: number) => expect.poll(() => page.locator('.scan.ready').count(), WAIT).toBe(count);
  await page.getByRole('button', { name: 'Try with sample scans' }).focus();
  await page.keyboard.press('Enter');
  await expect.poll(() => focused(page)).toBe('Scans'); // the button is gone
  await ready(6);
  await page.getByRole('button', { name: 'Remove sample-02.nii' }).click();
  await page.reload();
  await ready(5);
  expect(await page.getByText('sample-02.nii').count()).toBe(0);
  await page.emulateMedia({ forcedColors: 'active' });
  await shot(page, 'forced-colours');
}, 120_000);

test('an engine that cannot be loaded is said, and can be started again', async () => {
  const page = await app.open();
  await app.context.route('**/engine-worker*', (route) => route.abort());
  await page.reload();
  await page.getByText('The engine is not running').waitFor();
  await page.getByRole('link', { name: 'Train', exact: true }).click();
  expect(await page.getByRole('button', { name: 'Pre-train' }).isDisabled()).toBe(true);
  await expectUsable(page, 'no-engine');
  await app.context.unroute('**/engine-worker*');
  await page.getByRole('button', { name: 'Start the engine again' }).click();
  await page.locator('.chip', { hasText: 'Software adapter' }).waitFor();
  app.forgive(/Failed to load resource|engine-worker/);
}, 120_000);

test('the foot says no more of the security policy than the server makes true', async () => {
  const page = await app.open();
  await page.getByText('forbids connections elsewhere').waitFor();
  let status = 200;
  await app.context.route('**/*.js', (route) =>
    route.request().resourceType() === 'fetch' ? route.fulfill({ status }) : route.continue(),
  );
  await page.reload();
  await page.getByText('this server does not send the').waitFor();
  status = 503;
  await page.reload();
  await page.getByRole('link', { name: 'This device' }).click();
  await page.getByText('could not be asked').waitFor();
  expect(await page.locator('footer').innerText()).not.toMatch(/policy|forbids|server/);
  app.forgive(/Failed to load resource/);
}, 120_000);

test('without WebGPU the page says what was found and what to switch on', async () => {
  const page = await app.open('#device', WITHOUT_WEBGPU);
  await page.locator('.message.bad').waitFor();
  await page.getByRole('heading', { name: 'What to switch on' }).waitFor();
  expect(await page.locator('.findings').innerText()).toContain('None answered');
  await expectUsable(page, 'no-webgpu');
  await expectNarrowWidths(page, 'no-webgpu');
  await page.getByRole('link', { name: 'Train', exact: true }).click();
  expect(await page.getByRole('button', { name: 'Pre-train' }).isDisabled()).toBe(true);
  await page.getByText('No GPU to train on').waitFor();
}, 120_000);

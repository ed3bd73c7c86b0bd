/** The benchmark pages as built, in Chromium: the index, two pages at their smallest, what is refused, and a cancelled run. */

import type { Page } from 'playwright';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { App, downloaded, expectTabletWidth, expectUsable } from './app-page.ts';

let app: App;

beforeAll(async () => {
  app = await App.serve();
}, 300_000);
afterEach(() => app.noComplaints());
afterAll(() => app?.close());

async function finished(page: Page) {
  await page.waitForFunction(() => window.__bench.status !== 'running');
  const { status, error, result } = await page.evaluate(() => window.__bench);
  expect([status, error]).toEqual(['done', undefined]);
  return result!;
}

test('the app leads to the index, and that to every benchmark', async () => {
  const page = await app.open();
  await page.getByRole('link', { name: 'Benchmarks' }).click();
  await page.getByRole('heading', { name: 'Benchmarks', level: 1 }).waitFor();
  await expectUsable(page, 'bench-index');
  await expectTabletWidth(page, 'bench-index');
  const links = await page.locator('.pages h2 a').evaluateAll((list) => list.map((a) => (a as HTMLAnchorElement).href));
  expect(links.length).toBeGreaterThanOrEqual(6);
  for (const link of links) {
    await page.goto(link);
    await page.getByRole('button', { name: 'Run' }).waitFor();
    expect(await page.evaluate(() => window.__bench.status)).toBe('idle');
  }
}, 120_000);

test('kernels: started by the address, measured, shown and given out', async () => {
  const page = await app.open('bench/kernels.html?run&cases=matmul:16:16:16&repeats=2');
  const result = await finished(page);
  expect(result).toMatchObject({ benchmark: 'kernels', parameters: { cases: 'matmul:16:16:16', repeats: '2' } });
  expect(result.adapter!.class).not.toBe('gpu');
  expect(result.commit).toMatch(/^[0-9a-f]+\+?$|^unknown$/);
  const rows = result.tables[0]!.rows;
  expect(rows.map(({ name }) => name)).toEqual([
    'matmul 16×16×16, forward',
    'matmul 16×16×16, input gradient',
    'matmul 16×16×16, weight gradient',
  ]);
  for (const { chosen } of rows) expect(chosen).toMatchObject({ count: 2 });
  await expectUsable(page, 'bench-kernels');
  await expectTabletWidth(page, 'bench-kernels');
  const file = await downloaded(page, 'Download JSON');
  expect(file.name).toMatch(/^hyspark-kernels-.*\.json$/);
  expect(JSON.parse(file.bytes.toString())).toEqual([JSON.parse(JSON.stringify(result))]);
}, 120_000);

test('data: started by the button, with a choice', async () => {
  const page = await app.open('bench/data.html');
  await page.getByLabel('size').selectOption('small');
  await page.getByLabel('repeats').fill('1');
  await page.getByRole('button', { name: 'Run' }).click();
  const result = await finished(page);
  expect(result.tables[0]!.rows.map(({ name }) => name)).toEqual(['gunzip alone', 'file to cached volume']);
  expect(new URL(page.url()).search).toBe('?size=small&repeats=1');
  await expectUsable(page, 'bench-data');
}, 120_000);

test('a wrong parameter is refused in a sentence, and a run can be cancelled', async () => {
  const page = await app.open('bench/kernels.html?run&cases=sorting');
  await page.getByRole('alert').getByText('Parameter "cases"').waitFor();
  expect(await page.evaluate(() => window.__bench.status)).toBe('failed');
  await page.getByLabel('cases').fill('matmul:512:512:512');
  await page.getByRole('button', { name: 'Run' }).click();
  await page.getByRole('progressbar').waitFor();
  await page.getByRole('button', { name: 'Cancel' }).click();
  await page.getByText('Cancelled.').waitFor();
  expect(await page.evaluate(() => window.__bench.status)).toBe('cancelled');
}, 120_000);

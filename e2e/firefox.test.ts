/**
 * The web app in Debian's Firefox, headless on lavapipe: sample scans, training, pause, resume, reload, weights on disk. `npm test` installs both
 * on Debian; where there is no Firefox the test's name says so.
 */

import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readPth } from '../src/formats/pth.ts';
import { App, SHOTS } from './app-page.ts';
import { Firefox } from './firefox.ts';

const FIREFOX = [process.env.FIREFOX, '/usr/bin/firefox-esr', '/usr/bin/firefox'].find(
  (path) => path && existsSync(path),
);
/** Mesa's software Vulkan: a GPU of this machine, if there is one, is not what is tested. */
const LAVAPIPE = '/usr/share/vulkan/icd.d';
const STEPS = 12;

let app: App;
let firefox: Firefox | undefined;

beforeAll(async () => {
  if (!FIREFOX) return;
  app = await App.serve();
  const driver = process.env.VK_DRIVER_FILES ?? join(LAVAPIPE, readdirSync(LAVAPIPE).find(isLavapipe)!);
  firefox = await Firefox.launch(FIREFOX, { VK_DRIVER_FILES: driver });
}, 300_000);

afterAll(async () => {
  await firefox?.close();
  await app?.close();
});

function isLavapipe(name: string): boolean {
  return name.startsWith('lvp_icd');
}

/** The button or link of this name, as an expression in the page. */
function named(name: string): string {
  const is = `(element) => element.textContent.trim().startsWith(${JSON.stringify(name)})`;
  return `[...document.querySelectorAll('button, summary, nav a')].find(${is})`;
}

async function click(page: Firefox, name: string, timeout?: number): Promise<void> {
  await page.until(`${named(name)} && !${named(name)}.disabled`, timeout);
  await page.evaluate(`${named(name)}.click()`);
}

async function shot(page: Firefox, name: string): Promise<void> {
  if (SHOTS) writeFileSync(join(SHOTS, `firefox-${name}.png`), await page.screenshot());
}

test.skipIf(!FIREFOX)(
  `from sample scans to weights${FIREFOX ? '' : ' (NOT CHECKED: firefox-esr is not installed)'}`,
  async () => {
    const page = firefox!;
    await page.goto(app.address);
    await click(page, 'Try with sample scans');
    await page.until(`document.querySelectorAll('.scan.ready').length === 6`);
    await page.until(`document.querySelector('.readout b')`);
    await shot(page, 'scans');
    await click(page, 'Train on these');
    await click(page, 'More settings');
    for (const [name, value] of Object.entries({
      maskRatio: 0.25,
      length: STEPS,
      crop: 32,
      evaluationCrops: 2,
      evaluateEvery: 4,
    })) {
      await page.evaluate(`(() => {
        const input = document.querySelector('#field-${name}');
        input.value = '${value}';
        input.dispatchEvent(new Event('input'));
      })()`);
    }
    await click(page, 'Pre-train');
    const step = `parseInt(document.querySelector('.numbers dd')?.textContent)`;
    await page.until(`${step} >= 1`, 600_000);
    await click(page, 'Pause');
    await page.until(named('Resume'));
    await shot(page, 'paused');
    expect(await page.evaluate<number>(step)).toBeLessThan(STEPS);
    await click(page, 'Resume');
    await page.until(`document.querySelector('.phase.finished')`, 600_000);
    expect(await page.evaluate(step)).toBe(STEPS);
    await shot(page, 'finished');

    // What is stored outlives the page: its weights are read from there.
    await page.goto(`${app.address}#runs`);
    await page.reload();
    await click(page, 'Encoder .pth');
    const saved = () => readdirSync(page.downloads).filter((name) => name.endsWith('encoder.pth'));
    await expect.poll(saved, { timeout: 60_000 }).toHaveLength(1);
    const file = join(page.downloads, saved()[0]!);
    await expect.poll(() => readFileSync(file).length).toBeGreaterThan(0); // first an empty file takes the name
    expect((readPth(readFileSync(file)) as Map<string, unknown>).size).toBeGreaterThan(0);
    expect(page.complaints).toEqual([]);
  },
  1_800_000,
);

/** The web app as built and served, in headless Chromium on a software adapter, and what tests do with its page. */

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import AxeBuilder from '@axe-core/playwright';
import { type BrowserContext, chromium, type Page } from 'playwright';
import { type PreviewServer, preview } from 'vite';
import { expect } from 'vitest';
import { CHROMIUM_PATH, QUIET_FLAGS, WITH_WEBGPU } from '../src/testing/chromium.ts';

/** Pictures of every state are left here when it is set. */
export const SHOTS = process.env.HYSPARK_SHOTS;
/** What a browser says of its own renderer, and of one that ended, is not the page's. */
const NOT_OURS = /GL Driver Message|software|Automatic fallback|powerPreference|external Instance reference/i;

const folders: string[] = [];

export function temporary(): string {
  const folder = mkdtempSync(join(tmpdir(), 'hyspark-app-'));
  folders.push(folder);
  return folder;
}

/** The built app on a server of its own. */
export class App {
  context!: BrowserContext;
  /** Requests elsewhere, console messages and uncaught errors of every page: none is expected. */
  readonly complaints: string[] = [];

  private constructor(
    private readonly server: PreviewServer,
    readonly address: string,
  ) {}

  static async serve(): Promise<App> {
    const outDir = temporary();
    // As a process of its own: Vitest's environment would make it a build for development.
    const env = { ...process.env, NODE_ENV: 'production' };
    execFileSync('npx', ['vite', 'build', '--logLevel', 'error', '--emptyOutDir', '--outDir', outDir], { env });
    const server = await preview({ build: { outDir }, preview: { port: 0 } });
    return new App(server, server.resolvedUrls!.local[0]!);
  }

  async close(): Promise<void> {
    await this.server.close();
    for (const folder of folders) rmSync(folder, { recursive: true, force: true });
  }

  /** A browser of an empty profile, and the page in it. */
  async open(path = '', flags = WITH_WEBGPU): Promise<Page> {
    this.context = await chromium.launchPersistentContext(temporary(), {
      executablePath: CHROMIUM_PATH,
      args: [...QUIET_FLAGS, ...flags],
      viewport: { width: 1280, height: 720 },
      reducedMotion: 'reduce',
    });
    this.context.on('request', (request) => {
      const { protocol, origin } = new URL(request.url());
      const own = this.address.startsWith(origin) || ['blob:', 'data:', 'chrome:'].includes(protocol);
      if (!own) this.complaints.push(request.url());
    });
    return this.tab(path);
  }

  /** Another page in the same browser. */
  async tab(path = ''): Promise<Page> {
    const page = await this.context.newPage();
    page.setDefaultTimeout(120_000);
    page.on('pageerror', (error) => this.complaints.push(error.stack ?? error.message));
    page.on('console', (message) => {
      const loud = ['error', 'warning'].includes(message.type());
      if (loud && !NOT_OURS.test(message.text())) this.complaints.push(message.text());
    });
    await page.addInitScript(watch);
    await page.goto(this.address + path);
    return page;
  }

  /** Drops files and folders on the page, as a file manager does. */
  async drop(page: Page, paths: readonly string[]): Promise<void> {
    const session = await this.context.newCDPSession(page);
    const data = { items: [], files: paths.map((path) => resolve(path)), dragOperationsMask: 1 };
    for (const type of ['dragEnter', 'dragOver', 'drop'] as const) {
      await session.send('Input.dispatchDragEvent', { type, x: 640, y: 360, data });
      if (type === 'dragOver') await page.getByText('Drop scans, or folders of scans').waitFor();
    }
  }

  /** Room that the browser gives to this origin, bytes; as it was without. */
  async setQuota(page: Page, quotaSize?: number): Promise<void> {
    const session = await this.context.newCDPSession(page);
    await session.send('Storage.overrideQuotaForOrigin', { origin: new URL(this.address).origin, quotaSize });
  }

  /** Ends the process in which the browser talks to the GPU; it starts another. */
  async crashGpu(page: Page): Promise<void> {
    const session = await this.context.newCDPSession(page);
    await session.send('Browser.crashGpuProcess');
  }

  /** Leaves out complaints that what a test took away is the cause of. */
  forgive(pattern: RegExp): void {
    this.complaints.push(...this.complaints.splice(0).filter((text) => !pattern.test(text)));
  }

  /** At the end of every test. */
  async noComplaints(): Promise<void> {
    await this.context?.close();
    expect(this.complaints.splice(0)).toEqual([]);
  }
}

interface Watched {
  /** Tasks of the main thread beyond 50 ms. */
  longTasks: number[];
  wakeLocks: WakeLockSentinel[];
}

/** In the page, before its own scripts. */
function watch(): void {
  const watched: Watched = { longTasks: [], wakeLocks: [] };
  Object.assign(window, watched);
  new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) watched.longTasks.push(Math.round(duration));
  }).observe({ type: 'longtask' });
  const { wakeLock } = navigator;
  const request = wakeLock.request.bind(wakeLock);
  wakeLock.request = async (type) => {
    const lock = await request(type);
    watched.wakeLocks.push(lock);
    return lock;
  };
}

/** The longest tasks of the page's main thread since the last call, ms. */
export function longTasks(page: Page): Promise<number[]> {
  return page.evaluate(() =>
    (window as unknown as Watched).longTasks
      .splice(0)
      .sort((a, b) => b - a)
      .slice(0, 5),
  );
}

/** How many wake locks the page asked for, and how many it holds. */
export function wakeLocks(page: Page): Promise<{ asked: number; held: number }> {
  return page.evaluate(() => {
    const { wakeLocks } = window as unknown as Watched;
    return { asked: wakeLocks.length, held: wakeLocks.filter(({ released }) => !released).length };
  });
}

/** What a page notices of having been in the background: its wake lock is gone, and it is told that it can be seen. */
export async function hideAndShow(page: Page): Promise<void> {
  await page.evaluate(async () => {
    for (const lock of (window as unknown as Watched).wakeLocks) await lock.release();
    document.dispatchEvent(new Event('visibilitychange'));
  });
}

/** What the element that has the focus says. */
export function focused(page: Page): Promise<string | null | undefined> {
  return page.evaluate(() => document.activeElement?.textContent?.trim());
}

export async function shot(page: Page, name: string): Promise<void> {
  if (SHOTS) await page.screenshot({ path: join(SHOTS, `${name}.png`), timeout: 60_000 });
}

/** Light and dark: nothing serious for axe, and nothing wider than the window. */
export async function expectUsable(page: Page, name: string): Promise<void> {
  for (const theme of ['light', 'dark']) {
    await shot(page, theme === 'light' ? name : `${name}-dark`);
    const { violations } = await new AxeBuilder({ page }).analyze();
    const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
    const texts = serious.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`);
    expect(texts, `${name}, ${theme}`).toEqual([]);
    await page.getByRole('button', { name: 'Switch between light and dark' }).click();
  }
  expect(await overflowing(page), name).toEqual([]);
}

/** On a tablet, upright. */
export async function expectTabletWidth(page: Page, name: string): Promise<void> {
  await expectWidth(page, name, 'tablet', { width: 820, height: 1180 });
}

/** On a tablet and on a telephone, upright. */
export async function expectNarrowWidths(page: Page, name: string): Promise<void> {
  await expectTabletWidth(page, name);
  await expectWidth(page, name, 'telephone', { width: 375, height: 812 });
}

async function expectWidth(page: Page, name: string, device: string, size: { width: number; height: number }) {
  const before = page.viewportSize()!;
  await page.setViewportSize(size);
  await page.waitForTimeout(300); // canvases and charts follow
  await shot(page, `${name}-${device}`);
  expect(await overflowing(page), `${name} at ${size.width} px`).toEqual([]);
  await page.setViewportSize(before);
}

/** Elements that stick out at the right of the window. */
function overflowing(page: Page): Promise<string[]> {
  return page.evaluate(() =>
    [...document.querySelectorAll('body *:not(.visually-hidden)')]
      .filter((element) => element.getBoundingClientRect().right > innerWidth + 1)
      .map((element) => element.outerHTML.slice(0, 120)),
  );
}

/** What a file that the page gives out holds. */
export async function downloaded(page: Page, button: string): Promise<{ name: string; bytes: Buffer }> {
  const [download] = await Promise.all([
    page.waitForEvent('download', { timeout: 300_000 }),
    page.getByRole('button', { name: button, exact: true }).click(),
  ]);
  return { name: download.suggestedFilename(), bytes: readFileSync(await download.path()) };
}

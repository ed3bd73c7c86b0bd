/**
 * Debian's Firefox, headless, by WebDriver BiDi: what a smoke test needs of it. Playwright drives its own patched Firefox, or one that is newer
 * than the long-term release.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import WebSocket from 'ws';

/** Lets software adapters in, and keeps the browser's own traffic down. */
const PREFERENCES = {
  'dom.webgpu.enabled': true,
  'dom.webgpu.workers.enabled': true,
  'gfx.webgpu.ignore-blocklist': true,
  'app.normandy.enabled': false,
  'browser.download.folderList': 2, // the folder below
  'browser.download.always_ask_before_handling_new_types': false,
  'browser.shell.checkDefaultBrowser': false,
  'datareporting.policy.dataSubmissionEnabled': false,
  'messaging-system.rsexperimentloader.enabled': false,
  'services.settings.server': 'data:,',
  'toolkit.telemetry.enabled': false,
};

interface Answer {
  readonly id?: number;
  readonly type: 'success' | 'error' | 'event';
  readonly result?: unknown;
  readonly error?: string;
  readonly message?: string;
  readonly method?: string;
  readonly params?: { readonly level?: string; readonly text?: string };
}

type Evaluated =
  | { readonly type: 'success'; readonly result: { readonly value?: unknown } }
  | { readonly type: 'exception'; readonly exceptionDetails: { readonly text: string } };

export class Firefox {
  /** Errors and warnings of the page. */
  readonly complaints: string[] = [];
  /** Folder of what the page gave out. */
  readonly downloads: string;
  private page = '';
  private next = 1;
  private readonly waiting = new Map<number, (answer: Answer) => void>();

  private constructor(
    private readonly process: ChildProcess,
    private readonly profile: string,
    private readonly socket: WebSocket,
  ) {
    this.downloads = downloadsOf(profile);
    socket.on('message', (data) => this.told(JSON.parse(String(data)) as Answer));
  }

  /** Starts the browser with an empty profile. `env` is added to the environment. */
  static async launch(executable: string, env: Record<string, string>): Promise<Firefox> {
    const profile = mkdtempSync(join(tmpdir(), 'hyspark-firefox-'));
    const lines = Object.entries({ ...PREFERENCES, 'browser.download.dir': downloadsOf(profile) }).map(
      ([name, value]) => `user_pref("${name}", ${JSON.stringify(value)});\n`,
    );
    mkdirSync(downloadsOf(profile));
    writeFileSync(join(profile, 'user.js'), lines.join(''));
    const child = spawn(
      executable,
      ['--headless', '--no-remote', '--profile', profile, '--remote-debugging-port=0', 'about:blank'],
      { env: { ...process.env, ...env, HOME: profile }, stdio: ['ignore', 'ignore', 'pipe'] },
    );
    const address = await new Promise<string>((resolve, reject) => {
      let said = '';
      child.stderr!.on('data', (data) => {
        said += data;
        const found = /WebDriver BiDi listening on (ws:\S+)/.exec(said)?.[1];
        if (found) resolve(found);
      });
      child.on('exit', () => reject(new Error(`Firefox ended: ${said}`)));
    });
    const socket = new WebSocket(`${address}/session`);
    await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
    const firefox = new Firefox(child, profile, socket);
    await firefox.send('session.new', { capabilities: {} });
    await firefox.send('session.subscribe', { events: ['log.entryAdded'] });
    const { context } = (await firefox.send('browsingContext.create', { type: 'tab' })) as { context: string };
    firefox.page = context;
    return firefox;
  }

  async goto(url: string): Promise<void> {
    await this.send('browsingContext.navigate', { context: this.page, url, wait: 'complete' });
  }

  /** Resolves in the new document: the answer alone may come while the old one, which changes its address, is still there. */
  async reload(): Promise<void> {
    await this.evaluate('(window.isOld = true)');
    await this.send('browsingContext.reload', { context: this.page, wait: 'complete' });
    await this.until('window.isOld === undefined');
  }

  /** The value of an expression in the page; a promise is waited for. */
  async evaluate<T>(expression: string): Promise<T> {
    const target = { context: this.page };
    const answer = (await this.send('script.evaluate', {
      expression: `Promise.resolve(${expression}).then((value) => JSON.stringify(value ?? null))`,
      target,
      awaitPromise: true,
    })) as Evaluated;
    if (answer.type === 'exception') throw new Error(`${expression}: ${answer.exceptionDetails.text}`);
    return JSON.parse(answer.result.value as string) as T;
  }

  /** Waits until an expression is true in the page. */
  async until(expression: string, timeout = 120_000): Promise<void> {
    for (const end = Date.now() + timeout; !(await this.evaluate<boolean>(`Boolean(${expression})`)); ) {
      if (Date.now() > end) throw new Error(`Not within ${timeout / 1000} s: ${expression}`);
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
  }

  /** A picture of the page, as PNG. */
  async screenshot(): Promise<Buffer> {
    const { data } = (await this.send('browsingContext.captureScreenshot', { context: this.page })) as { data: string };
    return Buffer.from(data, 'base64');
  }

  async close(): Promise<void> {
    const ended = new Promise((resolve) => this.process.once('exit', resolve));
    this.socket.close();
    this.process.kill();
    await ended;
    rmSync(this.profile, { recursive: true, force: true });
  }

  private async send(method: string, params: object): Promise<unknown> {
    const id = this.next++;
    const answer = await new Promise<Answer>((resolve) => {
      this.waiting.set(id, resolve);
      this.socket.send(JSON.stringify({ id, method, params }));
    });
    if (answer.type === 'error') throw new Error(`${method}: ${answer.error}: ${answer.message}`);
    return answer.result;
  }

  private told(answer: Answer): void {
    if (answer.id !== undefined) {
      this.waiting.get(answer.id)?.(answer);
      this.waiting.delete(answer.id);
    } else if (answer.params?.level === 'error' || answer.params?.level === 'warn') {
      this.complaints.push(answer.params.text ?? '');
    }
  }
}

function downloadsOf(profile: string): string {
  return join(profile, 'downloads');
}

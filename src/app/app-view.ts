/** The frame of the page: name, pages, what the engine is doing, drop anywhere, the promise at the foot. */

import { html, nothing, type TemplateResult } from 'lit';
import { filesFromDrop } from '../data/browser-files.ts';
import { isPolicySent } from './capability.ts';
import { PAGES } from './navigation.ts';
import { remember, remembered } from './remember.ts';
import { navigation, scans, session } from './state.ts';
import { percent } from './text.ts';
import { View } from './view.ts';
import './device-view.ts';
import './runs-view.ts';
import './scans-view.ts';
import './train-view.ts';

const TITLE = document.title;
const DARK = '(prefers-color-scheme: dark)';

/** How long the veil stays without word of what is dragged: browsers send it every 50 to 350 ms. */
const VEIL_MS = 1000;

class AppView extends View {
  protected override readonly watched = [navigation, session, scans];
  #veil: ReturnType<typeof setTimeout> | undefined;
  /** Whether the browser forbids the workers, too, every connection elsewhere; undefined while or where that is not known. */
  #isPolicySent: boolean | undefined;
  /** What has the focus, to notice that it goes away with it. */
  #focused: Element | undefined;

  override connectedCallback(): void {
    super.connectedCallback();
    this.#applyTheme();
    matchMedia(DARK).addEventListener('change', () => this.#applyTheme());
    addEventListener('dragover', (event) => this.#drag(event));
    addEventListener('drop', (event) => this.#drop(event));
    addEventListener('beforeunload', (event) => {
      if (session.live) event.preventDefault(); // the browser asks
    });
    addEventListener('focusin', (event) => (this.#focused = event.target as Element));
    addEventListener('pointerdown', (event) => {
      if (!this.#focused?.contains(event.target as Node)) this.#focused = undefined;
    });
    new MutationObserver(() => this.#keepFocus()).observe(this, { childList: true, subtree: true });
    void isPolicySent().then((isSent) => {
      this.#isPolicySent = isSent;
      this.requestUpdate();
    });
    void session.open();
    void scans.restore();
  }

  protected override render() {
    const { page } = navigation;
    return html`
      <header class="bar">
        <a class="brand" href="#scans" aria-label="HySparK, scans"><img src="./icon.svg" alt="" width="22" height="22" /><span>HySparK</span></a>
        <nav aria-label="Pages">
          ${PAGES.map(
            ({ name, label }) => html`
              <a href=${navigation.addressOf(name)} aria-current=${name === page ? 'page' : nothing}>${label}${this.#badge(name)}</a>
            `,
          )}
        </nav>
        <span class="spring"></span>
        ${this.#status()}
        <button class="quiet" @click=${this.#toggleTheme} title="Light or dark" aria-label="Switch between light and dark">
          ${themeIcon()}
        </button>
      </header>
      <div class="notices">${this.#noEngine()}</div>
      <main id="main" class="page page-${page}" tabindex="-1">${pageOf(page)}</main>
      <footer>
        <span>Nothing leaves this page: scans are read, trained on and stored in this browser. ${this.#policy()}</span>
        <span><a href="./bench/">Benchmarks</a> · Research software, not a medical device.</span>
      </footer>
      ${this.#veil ? html`<div class="drop-veil"><p>Drop scans, or folders of scans</p></div>` : nothing}
    `;
  }

  /** Progress can be read off the tab while another is looked at. */
  protected override updated(): void {
    const { run, live } = session;
    const share = live && run?.progress ? `${percent(run.progress.step / run.progress.steps)} · ` : '';
    document.title = `${share}${TITLE}`;
  }

  #badge(name: string) {
    if (name === 'scans' && scans.usable.length > 0) return html`<span class="count">${scans.usable.length}</span>`;
    if (name === 'train' && session.live) return html`<span class="pulse ${session.run!.phase}"></span>`;
    return nothing;
  }

  #noEngine() {
    if (!session.engineProblem) return nothing;
    const { run } = session;
    const isKept = run?.phase === 'interrupted' && run.saved;
    return html`
      <div class="message bad" role="alert">
        <span class="grow">${session.engineProblem}${isKept ? ' The run can be continued from its last checkpoint.' : ''}</span>
        <button @click=${() => session.restart()}>Start the engine again</button>
      </div>
    `;
  }

  /** What is enforced on this server, no more. */
  #policy() {
    if (this.#isPolicySent === undefined) return nothing;
    const policy = html`<abbr title="Content-Security-Policy: connect-src 'self'">security policy</abbr>`;
    return this.#isPolicySent
      ? html`A ${policy} forbids connections elsewhere.`
      : html`The page connects to its own address only, but this server does not send the ${policy} by which the browser would hold its workers to that.`;
  }

  #status() {
    const { adapter, deviceProblem, run } = session;
    if (run && session.live) {
      const { progress, phase } = run;
      const share = progress ? ` ${percent(progress.step / progress.steps)}` : '';
      return html`<a class="chip" href="#train">${phase === 'training' ? 'Training' : phase === 'paused' ? 'Paused' : 'Preparing'}${share}</a>`;
    }
    if (session.engineProblem) return html`<span class="chip bad">Engine not running</span>`;
    if (deviceProblem) return html`<a class="chip bad" href="#device">No GPU: see why</a>`;
    if (!adapter) return html`<span class="chip">Looking for a GPU…</span>`;
    const soft = adapter.class !== 'gpu';
    return html`<a class="chip ${soft ? 'warn' : 'good'}" href="#device" title=${adapter.name}>${soft ? 'Software adapter' : short(adapter.name)}</a>`;
  }

  #toggleTheme(): void {
    remember({ theme: document.documentElement.dataset.theme === 'dark' ? 'light' : 'dark' });
    this.#applyTheme();
  }

  /** The system's choice until the person has made one. Curves are drawn with colours of the theme, so they are told. */
  #applyTheme(): void {
    document.documentElement.dataset.theme = remembered().theme ?? (matchMedia(DARK).matches ? 'dark' : 'light');
    dispatchEvent(new Event('themechange'));
  }

  /** Shown as long as files are over the window: entering and leaving elements says little where these come and go. */
  #drag(event: DragEvent): void {
    event.preventDefault();
    if (!event.dataTransfer?.types.includes('Files')) return;
    clearTimeout(this.#veil);
    this.#veil = setTimeout(() => this.#unveil(), VEIL_MS);
    this.requestUpdate();
  }

  #unveil(): void {
    clearTimeout(this.#veil);
    this.#veil = undefined;
    this.requestUpdate();
  }

  /** Where what had the focus is gone, as a button that leads elsewhere, the heading of what came has it: else it would be lost. */
  #keepFocus(): void {
    if (!this.#focused || this.#focused.isConnected || document.activeElement !== document.body) return;
    const heading = this.querySelector<HTMLElement>('main h1');
    if (!heading) return; // comes in a moment
    heading.tabIndex = -1;
    heading.focus({ preventScroll: true });
  }

  #drop(event: DragEvent): void {
    event.preventDefault();
    this.#unveil();
    if (!event.dataTransfer || event.dataTransfer.files.length === 0) return;
    navigation.go('scans');
    const { items } = event.dataTransfer;
    void scans.addFrom((onFound) => filesFromDrop(items, onFound));
  }
}

function pageOf(page: string): TemplateResult {
  switch (page) {
    case 'train':
      return html`<hy-train></hy-train>`;
    case 'runs':
      return html`<hy-runs></hy-runs>`;
    case 'device':
      return html`<hy-device></hy-device>`;
    default:
      return html`<hy-scans></hy-scans>`;
  }
}

function short(name: string): string {
  return name.length > 32 ? `${name.slice(0, 31)}…` : name;
}

function themeIcon() {
  return html`<svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
    <circle cx="8" cy="8" r="6.2" fill="none" stroke="currentColor" stroke-width="1.4"></circle>
    <path d="M8 1.8a6.2 6.2 0 0 1 0 12.4z" fill="currentColor"></path>
  </svg>`;
}

customElements.define('hy-app', AppView);

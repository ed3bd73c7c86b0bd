/** The frame of the page: name, pages, what the engine is doing, drop anywhere, the promise at the foot. */

import { html, nothing, type TemplateResult } from 'lit';
import { filesFromDrop } from '../data/browser-files.ts';
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

class AppView extends View {
  protected override readonly watched = [navigation, session, scans];
  #dragging = false;
  #depth = 0; // dragenter and dragleave come for every element that is passed

  override connectedCallback(): void {
    super.connectedCallback();
    this.#applyTheme();
    matchMedia(DARK).addEventListener('change', () => this.#applyTheme());
    addEventListener('dragenter', (event) => this.#drag(event, 1));
    addEventListener('dragleave', (event) => this.#drag(event, -1));
    addEventListener('dragover', (event) => event.preventDefault());
    addEventListener('drop', (event) => this.#drop(event));
    addEventListener('beforeunload', (event) => {
      if (session.run?.phase === 'training') event.preventDefault(); // the browser asks
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
              <a href="#${name}" aria-current=${name === page ? 'page' : nothing}>${label}${this.#badge(name)}</a>
            `,
          )}
        </nav>
        <span class="spring"></span>
        ${this.#status()}
        <button class="quiet" @click=${this.#toggleTheme} title="Light or dark" aria-label="Switch between light and dark">
          ${themeIcon()}
        </button>
      </header>
      <main id="main" class="page page-${page}" tabindex="-1">${pageOf(page)}</main>
      <footer>
        <span>
          Nothing leaves this page. Scans are read, trained on and stored in this browser; its
          <abbr title="Content-Security-Policy: connect-src 'self'">security policy</abbr> forbids every connection elsewhere.
        </span>
        <span><a href="./bench/">Benchmarks</a> · Research software, not a medical device.</span>
      </footer>
      ${this.#dragging ? html`<div class="drop-veil"><p>Drop scans, or folders of scans</p></div>` : nothing}
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

  #status() {
    const { adapter, deviceProblem, run } = session;
    if (run && session.live) {
      const { progress, phase } = run;
      const share = progress ? ` ${percent(progress.step / progress.steps)}` : '';
      return html`<a class="chip" href="#train">${phase === 'training' ? 'Training' : phase === 'paused' ? 'Paused' : 'Preparing'}${share}</a>`;
    }
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

  #drag(event: DragEvent, change: number): void {
    if (!event.dataTransfer?.types.includes('Files')) return;
    event.preventDefault();
    this.#depth += change;
    this.#dragging = this.#depth > 0;
    this.requestUpdate();
  }

  #drop(event: DragEvent): void {
    event.preventDefault();
    this.#depth = 0;
    this.#dragging = false;
    this.requestUpdate();
    if (!event.dataTransfer || event.dataTransfer.files.length === 0) return;
    navigation.go('scans');
    void scans.addFrom(filesFromDrop(event.dataTransfer.items));
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

/** One benchmark's page: parameters from the URL, a run in a worker, its result. */

import { html, nothing, render, type TemplateResult } from 'lit';
import { duration, sentence } from '../../app/text.ts';
import type { AdapterReport } from '../../gpu/adapter.ts';
import { type BenchMessage, type Benchmark, parameterTexts, parseParameters } from '../benchmark.ts';
import { browserName } from './browser.ts';
import { frame } from './frame.ts';
import { resultView } from './result.ts';
import type { PageState } from './state.ts';
import type { RunRequest } from './worker.ts';

const CLASSES: Record<AdapterReport['class'], string> = {
  gpu: 'a GPU',
  'software-subgroups': 'software, with subgroups',
  software: 'software',
};

export class BenchPage {
  #texts: Record<string, string>;
  #worker: Worker | undefined;
  #started = 0;
  #clock: ReturnType<typeof setInterval> | undefined;
  #adapter: AdapterReport | string = 'Looking for a GPU…';

  constructor(private readonly benchmark: Benchmark) {
    this.#texts = parameterTexts(benchmark, {});
    window.__bench = { status: 'idle' };
  }

  /** `?run` starts at once; every other parameter of the address is one of the benchmark's. */
  start(query: URLSearchParams): void {
    const given = Object.fromEntries([...query].filter(([key]) => key !== 'run'));
    try {
      this.#texts = parameterTexts(this.benchmark, given);
      parseParameters(this.benchmark, this.#texts);
      if (query.has('run')) this.#run();
      else this.#draw();
    } catch (error) {
      this.#set({ status: 'failed', error: sentence(error) });
    }
  }

  showAdapter(adapter: AdapterReport | string): void {
    this.#adapter = adapter;
    this.#draw();
  }

  #set(state: PageState): void {
    window.__bench = state;
    this.#draw();
  }

  #draw(): void {
    render(frame(this.benchmark.name, this.#view()), document.body);
  }

  #run(): void {
    try {
      parseParameters(this.benchmark, this.#texts);
    } catch (error) {
      this.#set({ status: 'failed', error: sentence(error) });
      return;
    }
    this.#end();
    const worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' });
    this.#worker = worker;
    this.#started = performance.now();
    worker.onmessage = ({ data }: MessageEvent<BenchMessage>) => {
      if ('progress' in data) {
        this.#set({ status: 'running', progress: data.progress });
        return;
      }
      this.#end();
      this.#set('report' in data ? { status: 'done', result: data.report } : { status: 'failed', error: data.error });
    };
    worker.onerror = (event) => {
      event.preventDefault();
      this.#end();
      this.#set({ status: 'failed', error: event.message || 'The worker could not be started.' });
    };
    worker.postMessage({ name: this.benchmark.name, parameters: this.#texts } satisfies RunRequest);
    this.#clock = setInterval(() => this.#draw(), 1000);
    this.#set({ status: 'running', progress: { share: 0, doing: 'starting' } });
  }

  #cancel(): void {
    this.#end();
    this.#set({ status: 'cancelled' });
  }

  #end(): void {
    clearInterval(this.#clock);
    this.#worker?.terminate();
    this.#worker = undefined;
  }

  #view(): TemplateResult {
    const { title, about } = this.benchmark;
    const { status, error, result } = window.__bench;
    return html`
      <h1>${title}</h1>
      <p class="lead">${about}</p>
      <div class="setting">${this.#form()} ${this.#conditions()}</div>
      <div role="status">
        ${status === 'running' ? this.#progress() : nothing}
        ${status === 'cancelled' ? html`<p class="message">Cancelled.</p>` : nothing}
      </div>
      ${error ? html`<p class="message bad" role="alert">${error}</p>` : nothing}
      ${result ? resultView(result) : nothing}
    `;
  }

  #form() {
    const running = window.__bench.status === 'running';
    const field = (name: string) => {
      const { about, choices } = this.benchmark.parameters[name]!;
      const input = (event: Event) => {
        this.#texts[name] = (event.target as HTMLInputElement | HTMLSelectElement).value;
      };
      return html`
        <label for="p-${name}">${name}</label>
        ${
          choices
            ? html`<select id="p-${name}" @change=${input} aria-describedby="about-${name}">
                ${choices.map((choice) => html`<option ?selected=${choice === this.#texts[name]}>${choice}</option>`)}
              </select>`
            : html`<input id="p-${name}" type="text" .value=${this.#texts[name]!} @input=${input} aria-describedby="about-${name}" autocomplete="off" spellcheck="false" />`
        }
        <span id="about-${name}" class="muted small">${about}</span>
      `;
    };
    return html`
      <form class="card" aria-label="Parameters" @submit=${(event: Event) => this.#submit(event)}>
        <div class="parameters">${Object.keys(this.benchmark.parameters).map(field)}</div>
        <div class="row">
          <button class="primary large" ?disabled=${running}>Run</button>
          ${running ? html`<button type="button" @click=${() => this.#cancel()}>Cancel</button>` : nothing}
        </div>
      </form>
    `;
  }

  /** The address says what was run, so that it can be passed on. */
  #submit(event: Event): void {
    event.preventDefault();
    const changed = Object.entries(this.#texts).filter(
      ([key, text]) => text !== this.benchmark.parameters[key]!.default,
    );
    const query = new URLSearchParams(changed);
    history.replaceState(null, '', query.size > 0 ? `?${query}` : location.pathname);
    this.#run();
  }

  #conditions() {
    const adapter = this.#adapter;
    const rows =
      typeof adapter === 'string'
        ? [['Adapter', adapter]]
        : [
            ['Adapter', `${adapter.name} (${CLASSES[adapter.class]})`],
            ['Features', adapter.features.join(', ') || 'none of the optional ones'],
          ];
    rows.push(
      ['Browser', browserName(navigator.userAgent)],
      ['Processors', String(navigator.hardwareConcurrency)],
      ['Commit', __COMMIT__],
      ['Date', new Date().toLocaleDateString()],
    );
    return html`
      <div class="card">
        <h2>Conditions</h2>
        <dl class="facts-table">${rows.map(([name, text]) => html`<dt>${name}</dt><dd>${text}</dd>`)}</dl>
      </div>
    `;
  }

  #progress() {
    const { share, doing } = window.__bench.progress!;
    const seconds = (performance.now() - this.#started) / 1000;
    // Too early, an estimate is a guess.
    const left = share > 0.05 ? `, about ${duration(seconds / share - seconds)} left` : '';
    return html`
      <div class="card running">
        <div class="row"><span>${doing}</span><span class="spring"></span><span class="muted">${duration(seconds)}${left}</span></div>
        <progress max="1" .value=${share} aria-label="Progress"></progress>
      </div>
    `;
  }
}

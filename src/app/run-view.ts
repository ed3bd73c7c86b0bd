/**
 * One stored run: curves and pictures, weights and report to take away, delete, continue. Each run has an element of its own, so that
 * whatever is asked about a run, its deletion above all, is done to that run.
 */

import { html, nothing } from 'lit';
import { isLive, type RunListing, type WeightsFormat } from '../index.ts';
import { CurveData } from './curves-data.ts';
import { canResume, hasCheckpoint } from './session.ts';
import { navigation, scans, session, settings } from './state.ts';
import { bytes, digits, percent, runName, sentence, when } from './text.ts';
import { canResumeNow, phaseName, resumeRun } from './train-view.ts';
import { View } from './view.ts';
import './curves-view.ts';

const FORMATS: readonly {
  readonly format: WeightsFormat;
  readonly ending: string;
  readonly label: string;
  readonly about: string;
}[] = [
  { format: 'encoder', ending: 'encoder.pth', label: 'Encoder .pth', about: 'For fine-tuning in PyTorch' },
  { format: 'pth', ending: 'pth', label: 'Full model .pth', about: 'As the reference’s resume file' },
  {
    format: 'checkpoint',
    ending: 'safetensors',
    label: '.safetensors',
    about: 'Everything, to continue or start from here',
  },
];

class RunView extends View {
  static override properties = { run: { attribute: false } };
  declare run: RunListing;

  protected override readonly watched = [session, scans];
  #curves: { readonly key: string; readonly data: CurveData } | undefined;
  #picture: { readonly path: string; readonly url: string } | undefined;
  /** Which picture is looked at; undefined follows the newest. */
  #shown: number | undefined;
  #which: 'best' | 'latest' = 'best';
  #busy: string | undefined;
  #problem: string | undefined;
  #confirming = false;

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    if (this.#picture) URL.revokeObjectURL(this.#picture.url);
    this.#picture = undefined;
  }

  protected override render() {
    const { run } = this;
    const { id, phase, config, verdict } = run;
    const live = this.#live;
    const elsewhere = !live && isLive(phase);
    const curves = live ? session.run!.curves : this.#curves?.data;
    return html`
      <div class="row">
        <h1><span class="phase ${phase}">${phaseName(phase)}</span> <span class="run-name">${runName(id)}</span></h1>
        <span class="spring"></span>
        ${live ? html`<a class="button" href="#train">Watch</a>` : nothing}
        ${
          canResume(run) && !session.live
            ? html`<button class="primary" ?disabled=${!canResumeNow()} title=${scans.usable.length === 0 ? 'Add its scans first' : ''} @click=${() => resumeRun(id)}>Continue</button>`
            : nothing
        }
      </div>
      ${elsewhere ? html`<p class="message notice">Under way in another tab, which alone writes to it.</p>` : nothing}
      ${phase === 'failed' ? html`<p class="message bad">${this.#failure()}</p>` : nothing}
      ${verdict ? html`<p class="message verdict">${verdict}</p>` : nothing}
      ${this.#problem ? html`<p class="message bad" role="alert">${this.#problem}</p>` : nothing}
      <div class="run-columns">
        <div class="card"><h2>Loss</h2>${curves ? html`<hy-curves .data=${curves} .steps=${config.steps} .version=${curves.steps.length}></hy-curves>` : html`<p class="muted placeholder">Reading…</p>`}</div>
        <div class="card">${this.#takeAway(live || elsewhere)}</div>
        ${this.#pictures()}
        <div class="card">
          <h2>Configuration</h2>
          <dl class="facts-table">${this.#facts().map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl>
        </div>
      </div>
    `;
  }

  get #live(): boolean {
    return session.live && session.run?.id === this.run.id;
  }

  #failure(): string {
    return this.run.error ?? `It failed.${this.#has('report.html') ? ' Its report says why.' : ''}`;
  }

  #facts(): [string, string][] {
    const { id, config, created, adapter, bytes: size } = this.run;
    const { model } = config;
    const isTime = runName(id) !== id;
    return [
      ['Started', when(created)],
      ['Name in files', isTime ? `${id}, which is UTC` : id],
      ['On', adapter],
      ['Network', `${config.preset}, ${model.crop}³ crops, ${percent(model.maskRatio)} hidden`],
      ['Batch', `${config.batch} × ${config.accumulate}`],
      ['Precision', config.precision === 'mixed' ? 'mixed' : '32 bits'],
      ['Learning rate', digits(config.learningRate)],
      ['Seed', String(config.seed)],
      ['Size', bytes(size)],
    ];
  }

  #has(path: string): boolean {
    return this.run.files.some((file) => file.path === path);
  }

  #takeAway(underWay: boolean) {
    return html`
      <h2>Take away</h2>
      ${
        hasCheckpoint(this.run)
          ? html`
              <div class="segmented" role="group" aria-label="Which weights">
                ${(['best', 'latest'] as const).map((which) => html`<button aria-pressed=${this.#which === which} @click=${() => this.#choose(which)}>${which === 'best' ? 'Best on held-out' : 'Latest'}</button>`)}
              </div>
              <ul class="downloads">
                ${FORMATS.map(
                  ({ format, ending, label, about }) => html`
                    <li>
                      <button aria-disabled=${this.#busy !== undefined} @click=${() => this.#weights(format, ending)}>${this.#busy === format ? 'Preparing…' : label}</button>
                      <span class="muted">${about}</span>
                    </li>
                  `,
                )}
                <li><button @click=${this.#startFrom}>Start from these</button><span class="muted">A new run: same network, fresh optimiser</span></li>
              </ul>
            `
          : html`<p class="muted">No checkpoint was written.</p>`
      }
      <ul class="downloads">
        ${this.#has('report.html') ? html`<li><button @click=${() => this.#file('report.html')}>Report</button><span class="muted">One HTML file, to keep beside the weights</span></li>` : nothing}
        ${this.#has('metrics.jsonl') ? html`<li><button @click=${() => this.#file('metrics.jsonl')}>Metrics</button><span class="muted">Every step, one JSON object a line</span></li>` : nothing}
      </ul>
      <div class="row">
        ${
          this.#confirming
            ? html`
                <span>Delete for good?</span>
                <button class="danger" @click=${this.#delete}>Delete ${bytes(this.run.bytes)}</button>
                <button class="keep" @click=${() => this.#confirm(false)}>Keep</button>
              `
            : html`<button class="quiet danger-text delete" ?disabled=${underWay} @click=${() => this.#confirm(true)}>Delete this run…</button>`
        }
      </div>
    `;
  }

  #pictures() {
    const path = this.#picturePath();
    if (!path) return nothing;
    const paths = picturesOf(this.run);
    const step = Number(/(\d+)\.png$/.exec(path)?.[1] ?? 0);
    const url = this.#picture?.path === path ? this.#picture.url : undefined;
    return html`
      <div class="card">
        <div class="row"><h2>Reconstructions</h2><span class="spring"></span><button class="quiet" @click=${() => this.#file(path)}>Download</button></div>
        ${url ? html`<img class="picture" src=${url} alt="Original, masked, reconstructed and error at step ${step}" />` : html`<p class="muted placeholder">Reading…</p>`}
        <label class="row">History <input type="range" min="0" max=${paths.length - 1} .value=${String(paths.indexOf(path))} aria-valuetext="step ${step}" @input=${this.#scrub} /> <output>step ${step}</output></label>
      </div>
    `;
  }

  #picturePath(): string | undefined {
    const paths = picturesOf(this.run);
    return paths[Math.min(this.#shown ?? paths.length - 1, paths.length - 1)];
  }

  /** Reads what is shown and was not read yet. */
  protected override updated(): void {
    if (!this.isConnected) return; // nobody would let go of a picture then
    const { id, step, files } = this.run;
    const key = `${step} ${files.length}`; // changes when there is more to read
    if (this.#curves?.key !== key) {
      this.#curves = { key, data: this.#curves?.data ?? new CurveData() };
      void session.curvesOf(id).then(
        (data) => {
          if (this.#curves?.key !== key) return;
          this.#curves = { key, data };
          this.requestUpdate();
        },
        () => undefined, // not a step was taken yet: the empty curves stay
      );
    }
    const path = this.#picturePath();
    if (!path || this.#picture?.path === path) return;
    if (this.#picture) URL.revokeObjectURL(this.#picture.url);
    this.#picture = { path, url: '' };
    void session.engine.readRunFile(id, path).then(
      (blob) => {
        if (this.#picture?.path !== path) return;
        this.#picture = { path, url: URL.createObjectURL(blob) };
        this.requestUpdate();
      },
      (error: unknown) => this.#say(sentence(error)),
    );
  }

  #choose(which: 'best' | 'latest'): void {
    this.#which = which;
    this.requestUpdate();
  }

  /** The button that was pressed gives way to others: the focus goes to the one that undoes it. */
  async #confirm(on: boolean): Promise<void> {
    this.#confirming = on;
    this.requestUpdate();
    await this.updateComplete;
    this.querySelector<HTMLElement>(on ? '.keep' : '.delete')?.focus();
  }

  #scrub(event: Event): void {
    this.#shown = Number((event.target as HTMLInputElement).value);
    this.requestUpdate();
  }

  #say(problem: string | undefined): void {
    this.#problem = problem;
    this.requestUpdate();
  }

  async #weights(format: WeightsFormat, ending: string): Promise<void> {
    if (this.#busy) return;
    const { id } = this.run;
    this.#busy = format;
    this.#say(undefined);
    try {
      download(await session.engine.exportWeights(id, format, this.#which), `hyspark-${id}-${this.#which}.${ending}`);
    } catch (error) {
      this.#problem = sentence(error);
    }
    this.#busy = undefined;
    this.requestUpdate();
  }

  async #file(path: string): Promise<void> {
    const { id } = this.run;
    try {
      download(await session.engine.readRunFile(id, path), `hyspark-${id}-${path.replaceAll('/', '-')}`);
    } catch (error) {
      this.#say(sentence(error));
    }
  }

  async #startFrom(): Promise<void> {
    const { id, config } = this.run;
    try {
      const blob = await session.engine.exportWeights(id, 'checkpoint', this.#which);
      settings.startFrom({ name: `${runName(id)}, ${this.#which}`, blob }, config);
      session.dismiss();
      navigation.go('train');
    } catch (error) {
      this.#say(sentence(error));
    }
  }

  async #delete(): Promise<void> {
    this.#confirming = false;
    try {
      await session.remove(this.run.id);
    } catch (error) {
      this.#say(sentence(error));
    }
  }
}

function picturesOf(run: RunListing): string[] {
  return run.files.map(({ path }) => path).filter((path) => path.startsWith('previews/'));
}

function download(blob: Blob, name: string): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // the browser has begun by then
}

customElements.define('hy-run', RunView);

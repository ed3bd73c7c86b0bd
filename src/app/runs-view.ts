/** The page of stored runs: curves and pictures of each, weights and report to take away, delete, continue. */

import { html, nothing } from 'lit';
import type { RunListing, WeightsFormat } from '../index.ts';
import { CurveData } from './curves-data.ts';
import { canResume, isLive } from './session.ts';
import { navigation, scans, session, settings } from './state.ts';
import { bytes, digits, loss as lossText, percent, plural, runName, sentence, when } from './text.ts';
import { phaseName, resumeRun } from './train-view.ts';
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

class RunsView extends View {
  protected override readonly watched = [session, scans];
  #open: string | undefined;
  #curves: { readonly key: string; readonly data: CurveData } | undefined;
  #picture: { readonly key: string; readonly url: string } | undefined;
  #shown: number | undefined;
  #which: 'best' | 'latest' = 'best';
  #busy: string | undefined;
  #problem: string | undefined;
  #confirming = false;

  override connectedCallback(): void {
    super.connectedCallback();
    void session.list();
  }

  protected override render() {
    const { stored, storedProblem } = session;
    if (!stored) return html`<p class="muted placeholder">Looking for runs…</p>`;
    if (stored.length === 0) {
      return html`
        <section class="nothing">
          <h1>No runs yet</h1>
          <p class="muted">Runs are kept in this browser’s private storage: configuration, curves, checkpoints, pictures, report.</p>
          ${storedProblem ? html`<p class="message bad" role="alert">${storedProblem}</p>` : nothing}
          <button class="primary" @click=${() => navigation.go('train')}>Pre-train</button>
        </section>
      `;
    }
    const open = this.#selected()!;
    return html`
      <section class="side" aria-label="Runs">
        <ul class="run-list">${stored.map((run) => this.#row(run, run === open))}</ul>
        <p class="muted small">${plural(stored.length, 'run')}, ${bytes(stored.reduce((sum, run) => sum + run.bytes, 0))} in this browser’s storage.</p>
      </section>
      <section class="run-detail">${this.#detail(open)}</section>
    `;
  }

  #row(run: RunListing, open: boolean) {
    const { id, phase, step, config, heldOutLoss } = run;
    return html`
      <li>
        <button class="run-row" aria-pressed=${open} @click=${() => this.#select(id)}>
          <span class="row"><b>${runName(id)}</b><span class="spring"></span><span class="phase ${phase}">${phaseName(phase)}</span></span>
          <span class="facts">${config.preset} · step ${step} of ${config.steps} · held-out ${lossText(heldOutLoss)}</span>
        </button>
      </li>
    `;
  }

  #detail(run: RunListing) {
    const { id, phase, config, verdict, created, adapter } = run;
    const live = session.live && session.run?.id === id;
    const elsewhere = !live && isLive(phase);
    const { model } = config;
    const curves = live ? session.run!.curves : this.#curves?.key === keyOf(run) ? this.#curves.data : undefined;
    const facts: [string, string][] = [
      ['Started', when(created)],
      ['On', adapter],
      ['Network', `${config.preset}, ${model.crop}³ crops, ${percent(model.maskRatio)} hidden`],
      ['Batch', `${config.batch} × ${config.accumulate}`],
      ['Precision', config.precision === 'mixed' ? 'mixed' : '32 bits'],
      ['Learning rate', digits(config.learningRate)],
      ['Seed', String(config.seed)],
      ['Size', bytes(run.bytes)],
    ];
    return html`
      <div class="row">
        <h1><span class="phase ${phase}">${phaseName(phase)}</span> <span class="run-name">${runName(id)}</span></h1>
        <span class="spring"></span>
        ${live ? html`<a class="button" href="#train">Watch</a>` : nothing}
        ${
          canResume(run) && !session.live
            ? html`<button class="primary" ?disabled=${scans.usable.length === 0 || scans.busy} title=${scans.usable.length === 0 ? 'Add its scans first' : ''} @click=${() => resumeRun(id)}>Continue</button>`
            : nothing
        }
      </div>
      ${elsewhere ? html`<p class="message notice">Under way in another tab, which alone writes to it.</p>` : nothing}
      ${verdict ? html`<p class="message verdict">${verdict}</p>` : nothing}
      ${this.#problem ? html`<p class="message bad" role="alert">${this.#problem}</p>` : nothing}
      <div class="run-columns">
        <div class="card"><h2>Loss</h2>${curves ? html`<hy-curves .data=${curves} .steps=${config.steps} .version=${curves.steps.length}></hy-curves>` : html`<p class="muted placeholder">Reading…</p>`}</div>
        <div class="card">${this.#takeAway(run, live || elsewhere)}</div>
        ${this.#pictures(run)}
        <div class="card"><h2>Configuration</h2><dl class="facts-table">${facts.map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl></div>
      </div>
    `;
  }

  #takeAway(run: RunListing, underWay: boolean) {
    const hasWeights = run.files.some(({ path }) => path.startsWith('checkpoints/'));
    const has = (path: string) => run.files.some((file) => file.path === path);
    return html`
      <h2>Take away</h2>
      ${
        hasWeights
          ? html`
              <div class="segmented" role="group" aria-label="Which weights">
                ${(['best', 'latest'] as const).map((which) => html`<button aria-pressed=${this.#which === which} @click=${() => this.#choose(which)}>${which === 'best' ? 'Best on held-out' : 'Latest'}</button>`)}
              </div>
              <ul class="downloads">
                ${FORMATS.map(
                  ({ format, ending, label, about }) => html`
                    <li>
                      <button ?disabled=${this.#busy !== undefined} @click=${() => this.#weights(run.id, format, ending)}>${this.#busy === format ? 'Preparing…' : label}</button>
                      <span class="muted">${about}</span>
                    </li>
                  `,
                )}
                <li><button @click=${() => this.#startFrom(run.id)}>Start from these</button><span class="muted">A new run: same network, fresh optimiser</span></li>
              </ul>
            `
          : html`<p class="muted">No checkpoint was written.</p>`
      }
      <ul class="downloads">
        ${has('report.html') ? html`<li><button @click=${() => this.#file(run.id, 'report.html')}>Report</button><span class="muted">One HTML file, to keep beside the weights</span></li>` : nothing}
        ${has('metrics.jsonl') ? html`<li><button @click=${() => this.#file(run.id, 'metrics.jsonl')}>Metrics</button><span class="muted">Every step, one JSON object a line</span></li>` : nothing}
      </ul>
      <div class="row">
        ${
          this.#confirming
            ? html`
                <span>Delete for good?</span>
                <button class="danger" @click=${() => this.#delete(run.id)}>Delete ${bytes(run.bytes)}</button>
                <button @click=${() => this.#confirm(false)}>Keep</button>
              `
            : html`<button class="quiet danger-text" ?disabled=${underWay} @click=${() => this.#confirm(true)}>Delete this run…</button>`
        }
      </div>
    `;
  }

  #pictures(run: RunListing) {
    const paths = picturesOf(run);
    if (paths.length === 0) return nothing;
    const shown = Math.min(this.#shown ?? paths.length - 1, paths.length - 1);
    const path = paths[shown]!;
    const step = Number(/(\d+)\.png$/.exec(path)?.[1] ?? 0);
    const url = this.#picture?.key === `${run.id}/${path}` ? this.#picture.url : undefined;
    return html`
      <div class="card">
        <div class="row"><h2>Reconstructions</h2><span class="spring"></span><button class="quiet" @click=${() => this.#file(run.id, path)}>Download</button></div>
        ${url ? html`<img class="picture" src=${url} alt="Original, masked, reconstructed and error at step ${step}" />` : html`<p class="muted placeholder">Reading…</p>`}
        <label class="row">History <input type="range" min="0" max=${paths.length - 1} .value=${String(shown)} aria-valuetext="step ${step}" @input=${this.#scrub} /> <output>step ${step}</output></label>
      </div>
    `;
  }

  protected override updated(): void {
    const run = this.#selected();
    if (!run) return;
    const key = keyOf(run);
    if (this.#curves?.key !== key) {
      this.#curves = { key, data: new CurveData() };
      void session.curvesOf(run.id).then(
        (data) =>
          this.#got(
            () => this.#curves?.key === key,
            () => (this.#curves = { key, data }),
          ),
        () => undefined, // not a step was taken yet: the empty curves stay
      );
    }
    const paths = picturesOf(run);
    const path = paths[Math.min(this.#shown ?? paths.length - 1, paths.length - 1)];
    const pictureKey = `${run.id}/${path}`;
    if (path && this.#picture?.key !== pictureKey) {
      if (this.#picture) URL.revokeObjectURL(this.#picture.url);
      this.#picture = { key: pictureKey, url: '' };
      void session.engine.readRunFile(run.id, path).then(
        (blob) =>
          this.#got(
            () => this.#picture?.key === pictureKey,
            () => (this.#picture = { key: pictureKey, url: URL.createObjectURL(blob) }),
          ),
        (error: unknown) => this.#say(sentence(error)),
      );
    }
  }

  #got(wanted: () => boolean, take: () => void): void {
    if (!wanted()) return;
    take();
    this.requestUpdate();
  }

  #selected(): RunListing | undefined {
    return session.stored?.find(({ id }) => id === this.#open) ?? session.stored?.[0];
  }

  #select(id: string): void {
    this.#open = id;
    this.#shown = undefined;
    this.#confirming = false;
    this.#say(undefined);
  }

  #choose(which: 'best' | 'latest'): void {
    this.#which = which;
    this.requestUpdate();
  }

  #confirm(on: boolean): void {
    this.#confirming = on;
    this.requestUpdate();
  }

  #scrub(event: Event): void {
    this.#shown = Number((event.target as HTMLInputElement).value);
    this.requestUpdate();
  }

  #say(problem: string | undefined): void {
    this.#problem = problem;
    this.requestUpdate();
  }

  async #weights(id: string, format: WeightsFormat, ending: string): Promise<void> {
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

  async #file(id: string, path: string): Promise<void> {
    try {
      download(await session.engine.readRunFile(id, path), `hyspark-${id}-${path.replaceAll('/', '-')}`);
    } catch (error) {
      this.#say(sentence(error));
    }
  }

  async #startFrom(id: string): Promise<void> {
    try {
      const blob = await session.engine.exportWeights(id, 'checkpoint', this.#which);
      const preset = session.stored?.find((run) => run.id === id)?.config.preset;
      settings.set({ weights: { name: `${runName(id)}, ${this.#which}`, blob }, ...(preset && { preset }) });
      session.dismiss();
      navigation.go('train');
    } catch (error) {
      this.#say(sentence(error));
    }
  }

  async #delete(id: string): Promise<void> {
    this.#confirming = false;
    try {
      await session.remove(id);
    } catch (error) {
      this.#say(sentence(error));
    }
  }
}

function picturesOf(run: RunListing): string[] {
  return run.files.map(({ path }) => path).filter((path) => path.startsWith('previews/'));
}

/** Changes when there is more to read. */
function keyOf({ id, step, files }: RunListing): string {
  return `${id} ${step} ${files.length}`;
}

function download(blob: Blob, name: string): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // the browser has begun by then
}

customElements.define('hy-runs', RunsView);

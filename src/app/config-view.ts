/** Configuring a run: preset and fields, what they need of the GPU and whether that fits, a measured speed. */

import { html, nothing, svg } from 'lit';
import type { PlanReport } from '../index.ts';
import { FIELDS, type Field, fieldOf, type PresetName } from './settings.ts';
import { scans, session, settings } from './state.ts';
import { bytes, count, digits, duration, plural, sentence } from './text.ts';
import { View } from './view.ts';

const PRESETS: readonly { readonly name: PresetName; readonly about: string }[] = [
  { name: 'tiny', about: '48³ crops. Any adapter; to try things out' },
  { name: 'small', about: '96³ crops, a third of the channels. Laptop GPUs' },
  { name: 'base', about: '96³ crops, the paper’s HySparK-B. Large GPUs' },
];
/** After the last key stroke. */
const PLAN_DELAY_MS = 250;
const PLANNING = 'Planning…';

/** What the engine said to settings: a plan, what is wrong with fields, or why it could not plan. */
interface Outcome {
  /** The settings, as text. */
  readonly key: string;
  readonly plan?: PlanReport;
  readonly problems: ReadonlyMap<string, string>;
  readonly failure?: string;
}

/** What the engine said when it was asked for the speed. */
interface Measurement {
  /** The settings, as text. */
  readonly key: string;
  readonly speed?: { readonly cropsPerSecond: number; readonly secondsPerStep: number };
  readonly problem?: string;
}

class ConfigView extends View {
  protected override readonly watched = [settings, session, scans];
  #outcome: Outcome | undefined;
  #measured: Measurement | undefined;
  #measuring = false;
  /** Whether to start as soon as the settings of now are planned. */
  #startsThen = false;
  /** The settings last sent to the engine. */
  #planned = '';
  #timer: ReturnType<typeof setTimeout> | undefined;

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#startsThen = false;
  }

  protected override render() {
    const blocked = this.#blocked();
    const isPlanning = blocked === PLANNING;
    return html`
      <form class="config" @submit=${this.#submit} novalidate>
        <div class="choices">
          <fieldset class="presets">
            <legend>Network</legend>
            ${PRESETS.map(
              ({ name, about }) => html`
                <label class=${settings.preset === name ? 'chosen' : ''}>
                  <input type="radio" name="preset" .checked=${settings.preset === name} @change=${() => settings.set({ preset: name })} />
                  <b>${name}</b><span class="muted">${about}</span>
                </label>
              `,
            )}
          </fieldset>
          <div class="fields">${FIELDS.filter(({ advanced }) => !advanced).map((field) => this.#field(field))}</div>
          <details>
            <summary>More settings</summary>
            <div class="fields more">${FIELDS.filter(({ advanced }) => advanced).map((field) => this.#field(field))}</div>
            <label class="check">
              <input type="checkbox" .checked=${settings.recompute} @change=${(event: Event) => settings.set({ recompute: checked(event) })} />
              Recompute activations: less memory, about a third more work, the same numbers
            </label>
            ${this.#precision()}
            <button type="button" class="quiet" @click=${() => settings.reset()}>Back to the defaults</button>
          </details>
          ${this.#weights()}
        </div>
        <section class="card this-run" aria-label="This run">
          <button type="submit" class="primary large" aria-disabled=${blocked !== undefined}>Pre-train</button>
          <p class="muted start-note"><span role="status">${isPlanning ? '' : (blocked ?? this.#outlook())}</span>${isPlanning ? PLANNING : ''}</p>
          ${this.#memory()}
        </section>
      </form>
    `;
  }

  #field(field: Field) {
    const { name } = field;
    const problem = this.#problems.get(name);
    const id = `field-${name}`;
    return html`
      <div class="field ${problem ? 'wrong' : ''}">
        <label for=${id}>${field.label}</label>
        <div class="control">
          <input
            id=${id} type="text" inputmode="decimal" autocomplete="off" .value=${settings.values[name] ?? ''}
            placeholder=${settings.placeholder(field)} aria-invalid=${problem ? 'true' : 'false'} aria-describedby="${id}-note"
            @input=${(event: Event) => settings.type(name, (event.target as HTMLInputElement).value)}
          />
          ${
            name === 'length'
              ? html`
                  <select aria-label="Unit of length" .value=${settings.unit} @change=${(event: Event) => settings.set({ unit: (event.target as HTMLSelectElement).value as 'steps' })}>
                    <option value="steps" ?selected=${settings.unit === 'steps'}>steps</option>
                    <option value="epochs" ?selected=${settings.unit === 'epochs'}>epochs</option>
                  </select>
                `
              : nothing
          }
        </div>
        <span class="hint" id="${id}-note">${problem ?? field.hint}</span>
      </div>
    `;
  }

  #precision() {
    const lacking = session.adapter !== undefined && !session.adapter.features.includes('shader-f16');
    const isMixed = settings.precision === 'mixed';
    const isLocked = lacking && !isMixed;
    return html`
      <label class="check">
        <input
          type="checkbox" .checked=${isMixed} aria-disabled=${isLocked}
          @click=${(event: Event) => isLocked && event.preventDefault()}
          @change=${(event: Event) => settings.set({ precision: checked(event) ? 'mixed' : 'float32' })}
        />
        Mixed precision: feature maps in 16 bits, about half the memory${lacking ? '. Not on this GPU or browser: WebGPU’s shader-f16 is missing' : ''}
      </label>
    `;
  }

  #weights() {
    const { weights, partialWeights } = settings;
    return html`
      <div class="row weights">
        <span class="label">Start from</span>
        ${
          weights
            ? html`
                <span class="chip">${weights.name}</span>
                <button type="button" class="quiet" @click=${() => settings.set({ weights: undefined })}>Remove</button>
                <label class="check">
                  <input type="checkbox" .checked=${partialWeights} @change=${(event: Event) => settings.set({ partialWeights: checked(event) })} />
                  take what fits
                </label>
              `
            : html`
                <span>random weights</span>
                <button type="button" class="quiet" @click=${() => this.querySelector<HTMLInputElement>('.weights-file')!.click()}>Load weights…</button>
              `
        }
        <input class="weights-file" type="file" accept=".pth,.pt,.safetensors" hidden aria-label="Weights" @change=${this.#load} />
      </div>
    `;
  }

  #memory() {
    const plan = this.#outcome?.plan;
    if (!session.adapter) return html`<div class="memory muted">Planned memory is shown once a GPU is found.</div>`;
    if (this.#problems.size > 0)
      return html`<div class="memory muted">Planned memory is shown once all settings can be used.</div>`;
    if (!plan) {
      const failure = this.#isCurrent ? this.#outcome?.failure : undefined;
      return failure
        ? html`<p class="message bad" role="alert">${failure}</p>`
        : html`<div class="memory muted">${PLANNING}</div>`;
    }
    const { bytes: parts } = plan;
    const problem = this.#measurement?.problem;
    const rows: [string, number, string][] = [
      ['Weights, gradients, moments', parts.variables, 'a'],
      ['Activations', parts.activations, 'b'],
      ['Inputs', parts.inputs, 'c'],
      ['Judging and pictures', parts.evaluation, 'd'],
    ];
    const total = rows.reduce((sum, [, size]) => sum + size, 0) || 1;
    let left = 0;
    return html`
      <div class="memory">
        <div class="row">
          <h2>GPU memory</h2><span class="spring"></span>
          <b>${bytes(parts.peak)}</b>
          ${
            this.#isCurrent
              ? html`<span class="chip ${plan.fits ? 'good' : 'bad'}">${plan.fits ? 'fits' : 'does not fit'}</span>`
              : html`<span class="chip">planning…</span>`
          }
        </div>
        <svg class="stack" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true">
          ${rows.map(([, size, key]) => {
            const width = (100 * size) / total;
            left += width;
            return stackPart(left - width, width, key);
          })}
        </svg>
        <ul class="legend">${rows.map(([name, size, key]) => html`<li class="stack-${key}">${name}<b>${bytes(size)}</b></li>`)}</ul>
        ${plan.reason ? html`<p class="message bad" role="alert">${plan.reason}${plan.recomputePeak ? ` With recomputed activations the peak is ${bytes(plan.recomputePeak)}.` : ''}</p>` : nothing}
        <div class="row">
          <h2>Work</h2><span class="spring"></span>
          <span>${count(plan.parameters)} parameters, ${count(plan.flops)}FLOP a step</span>
        </div>
        <p class="muted small" role="status">${this.#speed()}</p>
        ${problem ? html`<p class="message bad" role="alert">${problem}</p>` : nothing}
        <button type="button" aria-disabled=${!this.#canMeasure} @click=${this.#measure}>${this.#measuring ? 'Measuring…' : 'Measure the speed'}</button>
      </div>
    `;
  }

  protected override updated(): void {
    // What is wrong is to be seen.
    if (this.querySelector('.more .wrong')) this.querySelector('details')!.open = true;
    // Without a device there is nothing to plan for; another one plans anew.
    if (!session.adapter) this.#planned = '';
    // Options are planned when they changed, a moment after the last key stroke.
    const key = this.#key();
    if (key === this.#planned || !session.adapter) return;
    this.#planned = key;
    this.#startsThen = false;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#replan(key), PLAN_DELAY_MS);
  }

  #key(): string {
    return JSON.stringify([settings.options, [...settings.problems]]);
  }

  /** Whether the engine has answered to the settings of now. */
  get #isCurrent(): boolean {
    return this.#outcome?.key === this.#key();
  }

  /** By field: what is no number at once, what the engine refuses once it has said so, until it answers to the next change. */
  get #problems(): ReadonlyMap<string, string> {
    return new Map([...(this.#outcome?.problems ?? []), ...settings.problems]);
  }

  async #replan(key: string): Promise<void> {
    let plan: PlanReport | undefined;
    let failure: string | undefined;
    const problems = new Map<string, string>();
    if (settings.problems.size === 0) {
      try {
        plan = await session.engine.plan(settings.options);
      } catch (error) {
        const field = fieldOf(error);
        if (field) problems.set(field.name, field.text);
        else failure = sentence(error);
      }
    }
    if (key !== this.#key()) return; // changed meanwhile
    this.#outcome = { key, plan, problems, failure };
    this.requestUpdate();
    if (this.#startsThen) this.#start();
  }

  get #canMeasure(): boolean {
    return !this.#measuring && this.#isCurrent && this.#outcome?.plan?.fits === true;
  }

  /** Of the settings of now. */
  get #measurement(): Measurement | undefined {
    return this.#measured?.key === this.#key() ? this.#measured : undefined;
  }

  async #measure(): Promise<void> {
    if (!this.#canMeasure) return;
    this.#measuring = true;
    this.#measured = undefined;
    this.requestUpdate();
    const key = this.#key();
    try {
      this.#measured = { key, speed: await session.engine.measure(settings.options) };
    } catch (error) {
      this.#measured = { key, problem: sentence(error) };
    }
    this.#measuring = false;
    this.requestUpdate();
  }

  #speed(): string {
    if (this.#measuring) return 'A few steps on noise…';
    const speed = this.#measurement?.speed;
    if (!speed) return 'A few steps on noise tell crops a second and how long the run takes.';
    const { cropsPerSecond, secondsPerStep } = speed;
    return `${digits(cropsPerSecond)} crops a second: ${plural(this.#steps(), 'step')} take about ${duration(secondsPerStep * this.#steps())}.`;
  }

  /** As the engine will count them. */
  #steps(): number {
    const { options } = settings;
    if (options.epochs === undefined) return options.steps ?? 300;
    const usable = scans.usable.length;
    const training = Math.max(
      1,
      usable - (usable > 1 ? Math.max(1, Math.round((options.heldOut ?? 0.1) * usable)) : 0),
    );
    const crops = training * (options.cropsPerScan ?? 4);
    return Math.ceil((options.epochs * crops) / ((options.batch ?? 2) * (options.accumulate ?? 1)));
  }

  /** Why a run cannot start now, whatever the settings. */
  #lacking(): string | undefined {
    if (session.engineProblem) return 'The engine is not running.';
    if (session.deviceProblem) return 'No GPU to train on: see “This device”.';
    if (scans.busy) return 'Scans are being read.';
    if (scans.usable.length === 0) return 'Add scans first.';
    if (!session.adapter) return 'Looking for a GPU…';
    return this.#measuring ? 'The speed is being measured.' : undefined;
  }

  /** Why a run cannot start now. */
  #blocked(): string | undefined {
    const lacking = this.#lacking();
    if (lacking) return lacking;
    if (this.#problems.size > 0) return 'A setting is wrong.';
    if (!this.#isCurrent) return PLANNING;
    const { plan } = this.#outcome!;
    if (!plan) return 'These settings cannot be planned.';
    return plan.fits ? undefined : 'Does not fit this GPU.';
  }

  #outlook(): string {
    return `${plural(this.#steps(), 'step')} on ${plural(scans.usable.length, 'scan')}`;
  }

  #load(event: Event): void {
    const input = event.target as HTMLInputElement;
    const file = input.files?.[0];
    if (file) settings.set({ weights: { name: file.name, blob: file } });
    input.value = '';
  }

  /** Enter comes before the plan that the last key stroke asked for: then the run starts after it, unless something changes meanwhile. */
  #submit(event: Event): void {
    event.preventDefault();
    if (this.#isCurrent) this.#start();
    else this.#startsThen = this.#lacking() === undefined;
  }

  #start(): void {
    if (this.#blocked() !== undefined) return;
    const { options, weights, partialWeights } = settings;
    void session.start({ files: scans.files, options, ...(weights && { weights: weights.blob, partialWeights }) });
  }
}

function stackPart(x: number, width: number, key: string) {
  return svg`<rect x=${x} y="0" width=${width} height="4" class="stack-${key}"></rect>`;
}

function checked(event: Event): boolean {
  return (event.target as HTMLInputElement).checked;
}

customElements.define('hy-config', ConfigView);

/** The capability page: the adapter, what this browser offers, what would run, and what to switch on. */

import { html, nothing } from 'lit';
import type { AdapterReport, PlanReport } from '../index.ts';
import { type Advice, advice, type Finding, findings } from './capability.ts';
import type { PresetName } from './settings.ts';
import { session } from './state.ts';
import { bytes, count, sentence } from './text.ts';
import './storage-view.ts';
import { View } from './view.ts';

const PRESETS: readonly PresetName[] = ['tiny', 'small', 'base'];
const CLASSES: Record<AdapterReport['class'], string> = {
  gpu: 'A GPU',
  'software-subgroups': 'Software: the processor stands in for a GPU',
  software: 'Software: the processor stands in for a GPU',
};

class DeviceView extends View {
  protected override readonly watched = [session];
  #findings: Finding[] | undefined;
  /** What prepared scans took when the storage was asked for what is left of it. */
  #foundWith: number | undefined;
  #plans = new Map<PresetName, PlanReport | string>();
  /** The adapter that was planned for: another engine finds another. */
  #planned: AdapterReport | undefined;

  protected override render() {
    const { adapter, deviceProblem } = session;
    return html`
      <section class="device">
        <h1>This device</h1>
        ${this.#headline(adapter, deviceProblem)}
        <div class="device-grid">
          <div class="column">
            <div class="card">
              <h2>What was found</h2>
              <ul class="findings">
                ${this.#adapterLine(adapter, deviceProblem)}
                ${(this.#findings ?? []).map(({ name, state, text }) => html`<li class=${state}><b>${name}</b><span>${text}</span></li>`)}
              </ul>
              <hy-storage></hy-storage>
            </div>
            ${adapter ? this.#details(adapter) : nothing}
          </div>
          <div class="column">
            <div class="card">
              <h2>What would run</h2>
              ${adapter ? this.#runs() : html`<p class="muted">Looking at scans and at stored runs works without a GPU. Training needs one: any with WebGPU and, for the smallest network, some 100 MiB of memory.</p>`}
            </div>
            ${deviceProblem || (adapter && adapter.class !== 'gpu') ? this.#advice() : nothing}
          </div>
        </div>
      </section>
    `;
  }

  #adapterLine(adapter: AdapterReport | undefined, problem: string | undefined) {
    if (adapter)
      return html`<li class=${adapter.class === 'gpu' ? 'yes' : 'weak'}><b>Adapter</b><span>${adapter.name}</span></li>`;
    return problem ? html`<li class="no"><b>Adapter</b><span>None answered</span></li>` : nothing;
  }

  #headline(adapter: AdapterReport | undefined, problem: string | undefined) {
    if (session.engineProblem) return nothing; // said above every page
    if (problem) {
      return html`
        <p class="message bad" role="alert">
          <span>${problem}</span><button @click=${() => session.open()}>Look again</button>
        </p>
      `;
    }
    if (!adapter) return html`<p class="message notice" role="status">Looking for a GPU…</p>`;
    if (adapter.class !== 'gpu') {
      return html`<p class="message warn">${CLASSES[adapter.class]}. The “tiny” network trains on it; the others would take days. Below is how to let the browser use a GPU, if there is one.</p>`;
    }
    return html`<p class="message good">Ready to train on ${adapter.name}.</p>`;
  }

  #runs() {
    return html`
      <table class="plans">
        <thead><tr><th scope="col">Network</th><th scope="col">Parameters</th><th scope="col">Memory</th><th scope="col">A step</th><th scope="col"></th></tr></thead>
        <tbody>
          ${PRESETS.map((preset) => {
            const plan = this.#plans.get(preset);
            if (plan === undefined)
              return html`<tr><th scope="row">${preset}</th><td colspan="4" class="muted">Planning…</td></tr>`;
            if (typeof plan === 'string')
              return html`<tr><th scope="row">${preset}</th><td colspan="4">${plan}</td></tr>`;
            return html`
              <tr>
                <th scope="row">${preset}</th><td>${count(plan.parameters)}</td><td>${bytes(plan.bytes.peak)}</td><td>${count(plan.flops)}FLOP</td>
                <td><span class="chip ${plan.fits ? 'good' : 'bad'}">${plan.fits ? 'fits' : 'does not fit'}</span></td>
              </tr>
            `;
          })}
        </tbody>
      </table>
      <p class="muted small">With two crops a pass. A smaller batch or recomputed activations need less.</p>
    `;
  }

  #details(adapter: AdapterReport) {
    const { limits } = adapter;
    const rows: [string, string][] = [
      ['Kind', CLASSES[adapter.class]],
      ['Vendor', [adapter.vendor, adapter.architecture].filter(Boolean).join(', ') || 'not said'],
      ['Features', adapter.features.join(', ') || 'none of the optional ones'],
      ['Subgroup', adapter.subgroupSize > 0 ? `${adapter.subgroupSize} lanes` : 'not used'],
      ['Largest buffer', bytes(limits.maxBufferSize)],
      ['Largest binding', bytes(limits.maxStorageBufferBindingSize)],
      ['Workgroup memory', bytes(limits.maxComputeWorkgroupStorageSize)],
      ['Threads a workgroup', String(limits.maxComputeInvocationsPerWorkgroup)],
    ];
    return html`
      <div class="card">
        <h2>Adapter</h2>
        <dl class="facts-table">${rows.map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl>
      </div>
    `;
  }

  #advice() {
    const [mine, ...others] = advice(navigator.userAgent) as [Advice, ...Advice[]];
    const list = ({ browser, steps }: Advice) =>
      html`<h3>${browser}</h3><ul>${steps.map((step) => html`<li>${step}</li>`)}</ul>`;
    return html`
      <div class="card advice">
        <h2>What to switch on</h2>
        ${list(mine)}
        <details><summary>Other browsers</summary>${others.map(list)}</details>
      </div>
    `;
  }

  protected override updated(): void {
    if (session.preparedBytes !== this.#foundWith) void this.#find();
    if (session.adapter && session.adapter !== this.#planned) void this.#plan();
  }

  async #find(): Promise<void> {
    this.#foundWith = session.preparedBytes;
    this.#findings = await findings();
    this.requestUpdate();
  }

  async #plan(): Promise<void> {
    this.#planned = session.adapter;
    for (const preset of PRESETS) {
      this.#plans.set(preset, await session.engine.plan({ preset }).catch(sentence));
      this.requestUpdate();
    }
  }
}

customElements.define('hy-device', DeviceView);

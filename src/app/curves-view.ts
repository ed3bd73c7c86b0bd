/** The curves of a run: losses with the two lines to beat; below, learning rate and speed. Drawn by uPlot. */

import { html, type PropertyValues } from 'lit';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import type { CurveData } from './curves-data.ts';
import { digits } from './text.ts';
import { View } from './view.ts';

class CurvesView extends View {
  static override properties = {
    data: { attribute: false },
    steps: { attribute: false },
    /** How many points there are: redraws when it grows. */
    version: { attribute: false },
  };
  declare data: CurveData;
  declare steps: number;
  declare version: number;

  #log = false;
  #loss: uPlot | undefined;
  #rates: uPlot | undefined;
  readonly #resized = new ResizeObserver(() => this.#resize());
  readonly #retheme = () => this.#build();

  override connectedCallback(): void {
    super.connectedCallback();
    this.#resized.observe(this);
    addEventListener('themechange', this.#retheme);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#resized.disconnect();
    removeEventListener('themechange', this.#retheme);
    this.#destroy();
  }

  protected override render() {
    const last = this.data.loss.at(-1);
    const held = this.data.evaluations.at(-1)?.loss;
    const summary = `Training loss ${digits(last)}, held-out loss ${digits(held)} at step ${this.data.steps.at(-1) ?? 0}`;
    return html`
      <div class="row curve-head">
        <ul class="legend">
          <li class="train">training</li>
          <li class="held">held-out</li>
          <li class="mean">patch mean</li>
          <li class="smooth">smooth fill</li>
          <li class="rate">learning rate</li>
          <li class="speed">crops a second</li>
        </ul>
        <span class="spring"></span>
        <label class="inline"><input type="checkbox" .checked=${this.#log} @change=${this.#toggleLog} /> log scale</label>
      </div>
      <div class="chart loss" role="img" aria-label=${summary}></div>
      <div class="chart rates" role="img" aria-label="Learning rate and crops a second"></div>
    `;
  }

  protected override firstUpdated(): void {
    this.#build();
  }

  protected override updated(changes: PropertyValues<this>): void {
    if (changes.has('data') || changes.has('version') || changes.has('steps')) this.#update();
  }

  #toggleLog(event: Event): void {
    this.#log = (event.target as HTMLInputElement).checked;
    this.#build();
  }

  #build(): void {
    if (!this.isConnected || !this.querySelector('.loss')) return;
    this.#destroy();
    const colour = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    const [muted, line] = [colour('--muted'), colour('--line')];
    const axis: uPlot.Axis = {
      stroke: muted,
      grid: { stroke: line, width: 1 },
      ticks: { stroke: line, width: 1 },
      font: '11px system-ui, sans-serif',
    };
    const flat = (label: string, stroke: string): uPlot.Series => ({
      label,
      stroke,
      width: 1.5,
      dash: [5, 4],
      points: { show: false },
      spanGaps: true,
    });
    const value = (_: uPlot, raw: number | null) => digits(raw ?? undefined, 4);
    const x: uPlot.Scale = { time: false, range: () => [0, Math.max(this.steps, 1)] };
    this.#loss = new uPlot(
      {
        ...this.#size('.loss'),
        scales: { x, y: { distr: this.#log ? 3 : 1 } },
        legend: { show: false },
        cursor: { points: { size: 6 } },
        axes: [
          { ...axis, size: 28 },
          { ...axis, size: 52 },
        ],
        series: [
          {},
          { label: 'training', stroke: colour('--curve-train'), width: 1, value, points: { show: false } },
          {
            label: 'held-out',
            stroke: colour('--curve-held'),
            width: 2,
            spanGaps: true,
            points: { show: true, size: 6, fill: colour('--curve-held') },
          },
          flat('patch mean', colour('--curve-mean')),
          flat('smooth fill', colour('--curve-smooth')),
        ],
      },
      [[], [], [], [], []],
      this.querySelector<HTMLElement>('.loss')!,
    );
    this.#rates = new uPlot(
      {
        ...this.#size('.rates'),
        scales: { x },
        legend: { show: false },
        axes: [
          { ...axis, size: 28 },
          { ...axis, size: 52, scale: 'rate', values: (_, values) => values.map((v) => digits(v)) },
          {
            ...axis,
            size: 44,
            side: 1,
            scale: 'speed',
            grid: { show: false },
            values: (_, values) => values.map((v) => digits(v)),
          },
        ],
        series: [
          {},
          {
            label: 'learning rate',
            scale: 'rate',
            stroke: colour('--curve-rate'),
            width: 1.5,
            points: { show: false },
          },
          {
            label: 'crops a second',
            scale: 'speed',
            stroke: colour('--curve-speed'),
            width: 1,
            points: { show: false },
          },
        ],
      },
      [[], [], []],
      this.querySelector<HTMLElement>('.rates')!,
    );
    this.#update();
  }

  #update(): void {
    if (!this.#loss || !this.#rates) return;
    const { steps, loss, learningRate, cropsPerSecond, evaluations, baselines } = this.data;
    const held = new Map(evaluations.map((each) => [each.step, each.loss]));
    // Step 0 is judged before the first step, and the flat lines go on to the end: they need places of their own.
    const places = [...new Set([0, ...steps, ...held.keys(), this.steps])].sort((a, b) => a - b);
    const at = new Map(steps.map((step, i) => [step, i]));
    const line = (height: number | undefined) => places.map(() => height ?? null);
    this.#loss.setData([
      places,
      places.map((step) => loss[at.get(step) ?? -1] ?? null),
      places.map((step) => held.get(step) ?? null),
      line(baselines?.patchMean),
      line(baselines?.smoothFill),
    ]);
    this.#rates.setData([steps, learningRate, cropsPerSecond]);
  }

  #size(selector: string): { width: number; height: number } {
    const box = this.querySelector<HTMLElement>(selector)!;
    return { width: Math.max(50, box.clientWidth), height: Math.max(60, box.clientHeight) };
  }

  #resize(): void {
    this.#loss?.setSize(this.#size('.loss'));
    this.#rates?.setSize(this.#size('.rates'));
  }

  #destroy(): void {
    this.#loss?.destroy();
    this.#rates?.destroy();
    this.#loss = undefined;
    this.#rates = undefined;
  }
}

customElements.define('hy-curves', CurvesView);

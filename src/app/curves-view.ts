/** The curves of a run: losses with the two lines to beat; below, learning rate and speed. Drawn by uPlot. */

import { html } from 'lit';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import type { CurveData } from './curves-data.ts';
import { digits } from './text.ts';
import { View } from './view.ts';

/** Distances between marks of the steps: whole numbers. */
const STEPS = [0, 1, 2, 3, 4, 5].flatMap((power) => [1, 2, 5].map((digit) => digit * 10 ** power));

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

  protected override updated(): void {
    this.#update();
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
      ticks: { stroke: line, width: 1, size: 5 },
      font: '11px system-ui, sans-serif',
      gap: 4,
      values: (_, values) => values.map((value) => (value === null ? '' : digits(value, 4))),
    };
    const below: uPlot.Axis = { ...axis, size: 24, space: 60, incrs: STEPS };
    const beside: uPlot.Axis = { ...axis, size: 56, space: 34 };
    const curve = (name: string, style: Partial<uPlot.Series> = {}): uPlot.Series => ({
      stroke: colour(`--curve-${name}`),
      width: 1.5,
      points: { show: false },
      spanGaps: true,
      ...style,
    });
    const dash = [5, 4];
    const x: uPlot.Scale = { time: false, range: () => [0, Math.max(this.steps, 1)] };
    const y: uPlot.Scale = { distr: this.#log ? 3 : 1, range: () => this.#lossRange() };
    const common = { scales: { x }, legend: { show: false }, cursor: { drag: { x: false } } };
    this.#loss = new uPlot(
      {
        ...this.#size('.loss'),
        ...common,
        scales: { x, y },
        padding: [8, 44, 0, 0], // as wide as the lower chart's second axis, so that steps lie below each other
        axes: [below, beside],
        series: [
          {},
          curve('train', { width: 1 }),
          curve('held', { width: 2, points: { show: true, size: 6, fill: colour('--curve-held') } }),
          curve('mean', { dash }),
          curve('smooth', { dash }),
        ],
      },
      [[], [], [], [], []],
      this.querySelector<HTMLElement>('.loss')!,
    );
    const fromZero: uPlot.Scale = { range: (_, __, highest) => [0, (highest || 1) * 1.1] };
    this.#rates = new uPlot(
      {
        ...this.#size('.rates'),
        ...common,
        scales: { x, rate: fromZero, speed: fromZero },
        padding: [8, 0, 0, 0],
        axes: [
          below,
          { ...beside, scale: 'rate' },
          { ...beside, size: 44, side: 1, scale: 'speed', grid: { show: false } },
        ],
        series: [{}, curve('rate', { scale: 'rate' }), curve('speed', { scale: 'speed', width: 1 })],
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
    // Judgements, and the ends of the flat lines, need places of their own.
    const places = [...new Set([0, ...steps, ...held.keys(), this.steps])].sort((a, b) => a - b);
    const at = new Map(steps.map((step, i) => [step, i]));
    const line = (height: number | undefined) => places.map(() => drawn(height));
    this.#loss.setData([
      places,
      places.map((step) => drawn(loss[at.get(step) ?? -1])),
      places.map((step) => drawn(held.get(step))),
      line(baselines?.patchMean),
      line(baselines?.smoothFill),
    ]);
    this.#rates.setData([steps, learningRate, cropsPerSecond]);
  }

  /** Room for what is trained on and compared with. Held-out losses of the first steps, while BatchNorm's averages settle, may go off the scale. */
  #lossRange(): [number, number] {
    const { loss, evaluations, baselines } = this.data;
    const lines = (baselines ? [baselines.patchMean, baselines.smoothFill] : []).filter(Number.isFinite);
    const held = evaluations.map((each) => each.loss).filter(Number.isFinite);
    const low = [loss, held, lines].flat().reduce(least, 1);
    const usual = [loss, lines].flat().reduce(greatest, low + 0.1);
    const highest = held.reduce(greatest, usual);
    if (this.#log) return [0.95 * low, 1.05 * highest];
    const high = Math.min(highest, usual + (usual - low));
    const margin = 0.08 * (high - low);
    return [Math.max(0, low - margin), high + margin];
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

/** A gap where there is no number, or none that is finite. */
function drawn(value: number | undefined): number | null {
  return value !== undefined && Number.isFinite(value) ? value : null;
}

function least(a: number, b: number): number {
  return b < a ? b : a;
}

function greatest(a: number, b: number): number {
  return b > a ? b : a;
}

customElements.define('hy-curves', CurvesView);

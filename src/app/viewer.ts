/** Three linked planes of a scan: click or drag to move the crosshair, wheel or slider to scroll, windows in HU; a volume view. */

import { html, nothing, type PropertyValues } from 'lit';
import { apply } from '../data/affine.ts';
import { drawSlice, type Placement, pixelAt } from './canvas-view.ts';
import { edgeLetters } from './edges.ts';
import type { ViewVolume } from './scan-protocol.ts';
import type { ScanItem } from './scans.ts';
import { huColours, middle, PLANES, type Plane, slicePixels, type Triple, WINDOWS } from './slices.ts';
import { scans } from './state.ts';
import { digits, hu, place, sentence, shape, sizes } from './text.ts';
import { View } from './view.ts';
import './volume-view.ts';

/** Windows that scans can be looked at with, HU: their values are 16-bit numbers. */
const WIDTHS = [1, 65535] as const;
const LEVELS = [-32768, 32767] as const;

class Viewer extends View {
  static override properties = { item: { attribute: false } };
  declare item: ScanItem | undefined;

  #volume: ViewVolume | undefined;
  #problem: string | undefined;
  #at: Triple = [0, 0, 0];
  #range: readonly [number, number] = WINDOWS[0]!.range;
  #colours = huColours(...this.#range);
  #places = new Map<Plane, Placement>();
  #volumeView = false;
  readonly #resized = new ResizeObserver(() => this.#draw());

  override connectedCallback(): void {
    super.connectedCallback();
    this.#resized.observe(this);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#resized.disconnect();
  }

  protected override willUpdate(changes: PropertyValues<this>): void {
    if (changes.has('item')) void this.#load(this.item);
  }

  async #load(item: ScanItem | undefined): Promise<void> {
    this.#volume = undefined;
    this.#problem = undefined;
    this.#volumeView = false;
    if (!item) return;
    try {
      const volume = await scans.volume(item);
      if (this.item !== item) return;
      this.#volume = volume;
      this.#at = middle(volume.shape);
    } catch (error) {
      if (this.item === item) this.#problem = sentence(error);
    }
    this.requestUpdate();
  }

  protected override render() {
    const { item } = this;
    if (!item) return html`<div class="viewer-empty muted">${scans.busy ? '' : 'Select a scan to look at it.'}</div>`;
    if (this.#problem) return html`<p class="message bad" role="alert">${this.#problem}</p>`;
    return html`
      <div class="row viewer-bar">
        <div class="segmented" role="group" aria-label="Window">
          ${WINDOWS.map(
            ({ name, range }) => html`
              <button aria-pressed=${same(range, this.#range)} title="${range[0]} to ${range[1]} HU" @click=${() => this.#setRange(range)}>${name}</button>
            `,
          )}
        </div>
        <label class="inline" title="Window width, HU">W <input type="number" aria-label="Width" min="1" step="10" .value=${String(this.#range[1] - this.#range[0])} @change=${this.#width} /></label>
        <label class="inline" title="Window level, HU">L <input type="number" aria-label="Level" step="10" .value=${String((this.#range[0] + this.#range[1]) / 2)} @change=${this.#level} /></label>
        <span class="spring"></span>
        <span class="readout" aria-live="off">${this.#readout()}</span>
      </div>
      <div class="planes">
        ${PLANES.map((plane) => this.#plane(plane))}
        <div class="plane volume-cell">${this.#fourth(item)}</div>
      </div>
    `;
  }

  #plane(plane: Plane) {
    const volume = this.#volume;
    const count = volume ? volume.shape[plane.normal] : 1;
    const index = this.#at[plane.normal];
    return html`
      <figure class="plane ${volume ? '' : 'loading'}">
        <canvas
          role="img"
          aria-label="${plane.name} slice ${index + 1} of ${count}"
          data-plane=${plane.name}
          @pointerdown=${(event: PointerEvent) => this.#point(plane, event)}
          @pointermove=${(event: PointerEvent) => event.buttons > 0 && this.#point(plane, event)}
          @wheel=${(event: WheelEvent) => this.#scroll(plane, event)}
        ></canvas>
        ${volume ? edgeLetters(plane) : html`<span class="spinner" role="status" aria-label="Reading the scan"></span>`}
        <figcaption>
          <span class="plane-name">${plane.name}</span>
          <input
            type="range" min="0" max=${count - 1} .value=${String(index)} ?disabled=${!volume} aria-label="${plane.name} slice" aria-valuetext="slice ${index + 1} of ${count}"
            @input=${(event: Event) => this.#move(plane.normal, Number((event.target as HTMLInputElement).value))}
          />
          <output>${volume ? `${index + 1} / ${count}` : ''}</output>
        </figcaption>
      </figure>
    `;
  }

  #fourth(item: ScanItem) {
    if (this.#volumeView && this.#volume) {
      return html`
        <hy-volume .volume=${this.#volume} .range=${this.#range}></hy-volume>
        <div class="caption"><span class="plane-name">volume</span><span class="muted">drag to turn</span><button class="quiet facts-button" @click=${() => this.#showVolume(false)}>Facts</button></div>
      `;
    }
    const { audit, hash } = item;
    if (!audit) return nothing;
    const rows: [string, string][] = [
      ['Voxels', shape(audit.shape)],
      ['Spacing', sizes(audit.spacing, 'mm')],
      ['Extent', `${audit.sizeMm.map((mm) => mm.toFixed(0)).join(' × ')} mm`],
      ['Orientation', audit.orientation],
      ['Stored as', audit.dtype],
      ['Range', hu(audit.hu.min, audit.hu.max)],
      [
        'Percentiles 1 · 50 · 99',
        `${[audit.hu.p1, audit.hu.p50, audit.hu.p99].map((value) => digits(value, 4)).join(' · ')} HU`,
      ],
      ['Known to runs as', hash ?? ''],
    ];
    return html`
      <dl class="facts-table">${rows.map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl>
      ${audit.notes.length > 0 ? html`<ul class="notes">${audit.notes.map((note) => html`<li>${note}</li>`)}</ul>` : nothing}
      <button class="volume-button" ?disabled=${!this.#volume} @click=${() => this.#showVolume(true)}>Volume view</button>
    `;
  }

  protected override updated(): void {
    this.#draw();
  }

  #draw(): void {
    const volume = this.#volume;
    if (!volume) return;
    const { shape, spacing } = volume;
    const view = { shape, strides: [1, shape[0], shape[0] * shape[1]] as const, values: volume.hu };
    for (const plane of PLANES) {
      const canvas = this.querySelector<HTMLCanvasElement>(`canvas[data-plane=${plane.name}]`);
      if (!canvas) continue;
      const { normal, right, down } = plane;
      const place = drawSlice(canvas, {
        image: slicePixels(view, plane, this.#at[normal], this.#colours),
        pixel: [spacing[right], spacing[down]],
        cross: [shape[right] - 1 - this.#at[right], shape[down] - 1 - this.#at[down]],
        smooth: true,
        bar: true,
      });
      if (place) this.#places.set(plane, place);
    }
  }

  #point(plane: Plane, event: PointerEvent): void {
    const place = this.#places.get(plane);
    if (!place || !this.#volume) return;
    const canvas = event.currentTarget as HTMLCanvasElement;
    if (event.type === 'pointerdown') canvas.setPointerCapture(event.pointerId);
    const { right, down } = plane;
    const { shape } = this.#volume;
    const [u, v] = pixelAt(canvas, place, { width: shape[right], height: shape[down] }, event);
    const at: [number, number, number] = [...this.#at];
    at[right] = shape[right] - 1 - u;
    at[down] = shape[down] - 1 - v;
    this.#at = at;
    this.requestUpdate();
  }

  #scroll({ normal }: Plane, event: WheelEvent): void {
    if (!this.#volume || event.ctrlKey) return; // with Ctrl it is the browser's zoom
    event.preventDefault();
    this.#move(normal, this.#at[normal] - Math.sign(event.deltaY));
  }

  #move(axis: 0 | 1 | 2, index: number): void {
    const at: [number, number, number] = [...this.#at];
    at[axis] = Math.max(0, Math.min(this.#volume!.shape[axis] - 1, index));
    this.#at = at;
    this.requestUpdate();
  }

  #readout() {
    const volume = this.#volume;
    if (!volume) return '';
    const [x, y, z] = this.#at;
    const [nx, ny] = volume.shape;
    const value = volume.hu[x + nx * (y + ny * z)];
    return html`<span>${place(apply(volume.affine, this.#at))}</span> <b>${digits(value, 5)} HU</b>`;
  }

  #setRange(range: readonly [number, number]): void {
    this.#range = range;
    this.#colours = huColours(...range);
    this.requestUpdate();
  }

  #width(event: Event): void {
    const [low, high] = this.#range;
    const [level, width] = [(low + high) / 2, typed(event, high - low, WIDTHS)];
    this.#setRange([level - width / 2, level + width / 2]);
  }

  #level(event: Event): void {
    const [low, high] = this.#range;
    const [level, half] = [typed(event, (low + high) / 2, LEVELS), (high - low) / 2];
    this.#setRange([level - half, level + half]);
  }

  /** The button that was pressed gives way to the one that leads back, which gets the focus. */
  async #showVolume(on: boolean): Promise<void> {
    this.#volumeView = on;
    this.requestUpdate();
    await this.updateComplete;
    this.querySelector<HTMLElement>(on ? '.facts-button' : '.volume-button')?.focus();
  }
}

/** What was typed into a number's field, within limits, or what was there before; the field shows what was taken. */
function typed(event: Event, before: number, [least, most]: readonly [number, number]): number {
  const input = event.target as HTMLInputElement;
  const value = Number.isFinite(input.valueAsNumber) ? Math.max(least, Math.min(most, input.valueAsNumber)) : before;
  input.value = String(value);
  return value;
}

function same(a: readonly number[], b: readonly number[]): boolean {
  return a[0] === b[0] && a[1] === b[1];
}

customElements.define('hy-viewer', Viewer);

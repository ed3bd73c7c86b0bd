/** What the model makes of a held-out crop: original, masked, reconstructed, absolute error in three planes, through its history. */

import { html } from 'lit';
import { drawSlice } from './canvas-view.ts';
import { edgeLetters } from './edges.ts';
import type { PreviewHistory } from './previews.ts';
import { type Colours, difference, GREY, HEAT, PLANES, slicePixels } from './slices.ts';
import { loss as lossText } from './text.ts';
import { View } from './view.ts';

const COLUMNS = ['original', 'masked', 'reconstructed', 'absolute error'] as const;

class PreviewView extends View {
  static override properties = { history: { attribute: false }, version: { attribute: false } };
  declare history: PreviewHistory;
  /** Grows with the history. */
  declare version: number;

  /** The moment looked at; undefined follows the newest. */
  #moment: number | undefined;
  /** Where the planes meet, as a share of the crop. */
  #depth = 0.5;
  readonly #resized = new ResizeObserver(() => this.#draw());

  override connectedCallback(): void {
    super.connectedCallback();
    this.#resized.observe(this);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#resized.disconnect();
  }

  protected override render() {
    const { pictures, moments } = this.history;
    if (!pictures) {
      return html`<p class="muted placeholder">The first reconstruction appears when everything is prepared.</p>`;
    }
    const last = moments.length - 1;
    const shown = Math.min(this.#moment ?? last, last);
    const { step, loss } = moments[shown]!;
    return html`
      <table class="panels">
        <thead>
          <tr><th scope="col"><span class="visually-hidden">plane</span></th>${COLUMNS.map((name) => html`<th scope="col">${name}</th>`)}</tr>
        </thead>
        <tbody>
          ${PLANES.map(
            (plane) => html`
              <tr>
                <th scope="row">${plane.name}</th>
                ${COLUMNS.map((name) => html`<td><canvas role="img" aria-label="${name}, ${plane.name}" data-plane=${plane.name} data-column=${name}></canvas>${edgeLetters(plane)}</td>`)}
              </tr>
            `,
          )}
        </tbody>
      </table>
      <div class="sliders">
        <label for="preview-history">History</label>
        <input class="slider" id="preview-history" type="range" min="0" max=${last} .value=${String(shown)} ?disabled=${last === 0} aria-valuetext="step ${step}" @input=${this.#choose} />
        <output>step ${step}, loss ${lossText(loss)}</output>
        <label for="preview-depth">Depth</label>
        <input class="slider" id="preview-depth" type="range" min="0" max=${pictures.crop - 1} .value=${String(this.#index())} aria-valuetext="slice ${this.#index() + 1} of ${pictures.crop}" @input=${this.#deepen} />
        <output>slice ${this.#index() + 1} of ${pictures.crop}</output>
      </div>
      <p class="muted small">
        ${pictures.heldOut ? 'Held-out' : 'Training'} scan ${pictures.scan.slice(0, 8)}, crop ${pictures.index + 1} of ${pictures.count}. Blue: hidden from the model.
        Visible voxels are copied. Error: black 0, white half of the range.
      </p>
    `;
  }

  protected override updated(): void {
    this.#draw();
  }

  #index(): number {
    return Math.min(this.history.pictures!.crop - 1, Math.floor(this.#depth * this.history.pictures!.crop));
  }

  #draw(): void {
    const { pictures, moments } = this.history;
    if (!pictures) return;
    const { crop, original, masked } = pictures;
    const { reconstructed } = moments[Math.min(this.#moment ?? Number.POSITIVE_INFINITY, moments.length - 1)]!;
    const columns: Record<(typeof COLUMNS)[number], readonly [Uint8Array, Colours]> = {
      original: [original, GREY],
      masked: [masked, GREY],
      reconstructed: [reconstructed, GREY],
      'absolute error': [difference(original, reconstructed), HEAT],
    };
    for (const canvas of this.querySelectorAll('canvas')) {
      const plane = PLANES.find(({ name }) => name === canvas.dataset.plane)!;
      const [values, colours] = columns[canvas.dataset.column as (typeof COLUMNS)[number]];
      const volume = { shape: [crop, crop, crop], strides: [crop * crop, crop, 1], values } as const;
      drawSlice(canvas, { image: slicePixels(volume, plane, this.#index(), colours), pixel: [1, 1], smooth: false });
    }
  }

  #choose(event: Event): void {
    const at = Number((event.target as HTMLInputElement).value);
    this.#moment = at === this.history.moments.length - 1 ? undefined : at;
    this.requestUpdate();
  }

  #deepen(event: Event): void {
    this.#depth = (Number((event.target as HTMLInputElement).value) + 0.5) / this.history.pictures!.crop;
    this.requestUpdate();
  }
}

customElements.define('hy-preview', PreviewView);

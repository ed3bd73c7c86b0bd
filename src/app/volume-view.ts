/** The scan as a volume, by NiiVue (WebGL 2), which is loaded when it is first asked for. */

import type { Niivue } from '@niivue/niivue';
import { html, type PropertyValues } from 'lit';
import { encodeNifti } from '../formats/nifti-write.ts';
import type { ViewVolume } from './scan-protocol.ts';
import { sentence } from './text.ts';
import { View } from './view.ts';

class VolumeView extends View {
  static override properties = { volume: { attribute: false }, range: { attribute: false } };
  declare volume: ViewVolume;
  declare range: readonly [number, number];
  #niivue: Niivue | undefined;
  #problem: string | undefined;
  #shown = false;

  /** Browsers grant a page a few WebGL contexts only, and take them back when it pleases them: so it is given up at once. */
  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#end();
  }

  protected override render() {
    if (this.#problem) return html`<p class="message bad" role="alert">${this.#problem}</p>`;
    return html`
      <canvas aria-label="Volume; drag to turn" role="img"></canvas>
      ${this.#shown ? '' : html`<span class="spinner" role="status" aria-label="Loading the volume view"></span>`}
    `;
  }

  protected override firstUpdated(): void {
    void this.#load().catch((error: unknown) => {
      this.#problem = `The volume view needs WebGL 2. ${sentence(error)}`;
      this.requestUpdate();
    });
  }

  protected override updated(changes: PropertyValues<this>): void {
    if (changes.has('range') && this.#shown) this.#window();
  }

  async #load(): Promise<void> {
    const { Niivue, SLICE_TYPE } = await import('@niivue/niivue');
    const { shape, affine, hu } = this.volume;
    const file = encodeNifti({ shape, affine, voxels: hu, fastest: 'x' });
    const niivue = new Niivue({
      backColor: [0, 0, 0, 1],
      show3Dcrosshair: false,
      isOrientCube: true, // letters on its faces say how the body lies
      logLevel: 'error',
    });
    if (!this.isConnected) return; // closed meanwhile
    this.#niivue = niivue;
    await niivue.attachToCanvas(this.querySelector('canvas')!);
    niivue.setSliceType(SLICE_TYPE.RENDER);
    await niivue.loadFromArrayBuffer(file.buffer, 'scan.nii');
    if (!this.isConnected) return this.#end();
    niivue.setRenderAzimuthElevation(200, 15);
    this.#shown = true;
    this.#window();
    this.requestUpdate();
  }

  #end(): void {
    if (!this.#niivue) return;
    this.#niivue.cleanup();
    this.#niivue = undefined;
    this.querySelector('canvas')?.getContext('webgl2')?.getExtension('WEBGL_lose_context')?.loseContext();
  }

  #window(): void {
    const volume = this.#niivue?.volumes[0];
    if (!volume) return;
    [volume.cal_min, volume.cal_max] = this.range;
    this.#niivue!.updateGLVolume();
  }
}

customElements.define('hy-volume', VolumeView);

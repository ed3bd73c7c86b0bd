/** The picture of a scan in the list. */

import { html } from 'lit';
import type { Thumbnail } from './scan-protocol.ts';
import { View } from './view.ts';

class ThumbnailView extends View {
  static override properties = { thumbnail: { attribute: false }, state: { attribute: false } };
  declare thumbnail: Thumbnail | undefined;
  declare state: string;

  protected override render() {
    if (this.thumbnail) return html`<canvas aria-hidden="true"></canvas>`;
    return html`<span class="blank ${this.state}" aria-hidden="true">${this.state === 'bad' ? '!' : ''}</span>`;
  }

  protected override updated(): void {
    const canvas = this.querySelector('canvas');
    if (!canvas || !this.thumbnail) return;
    const { width, height, grey } = this.thumbnail;
    canvas.width = width;
    canvas.height = height;
    const image = new ImageData(width, height);
    for (let i = 0; i < grey.length; i++) image.data.set([grey[i]!, grey[i]!, grey[i]!, 255], 4 * i);
    canvas.getContext('2d')!.putImageData(image, 0, 0);
  }
}

customElements.define('hy-thumbnail', ThumbnailView);

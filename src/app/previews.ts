/** The pictures of a run's evaluation crop through its history, a byte a voxel. */

import type { Preview } from '../index.ts';
import { asBytes } from './slices.ts';

export interface CropPictures {
  readonly crop: number;
  readonly index: number;
  readonly count: number;
  readonly scan: string;
  readonly heldOut: boolean;
  readonly original: Uint8Array;
  readonly masked: Uint8Array;
}

export interface Moment {
  readonly step: number;
  readonly loss: number;
  readonly reconstructed: Uint8Array;
}

/** Pictures kept; beyond, every second of the older ones goes. At 96³ each takes 0.8 MiB. */
const MOST = 120;

export class PreviewHistory {
  /** The crop: the same original and mask all along. */
  pictures: CropPictures | undefined;
  moments: Moment[] = [];

  add(preview: Preview): void {
    const { step, loss, crop, index, count, scan, heldOut } = preview;
    if (this.pictures?.index !== index || this.pictures.scan !== scan || this.pictures.crop !== crop) {
      const [original, masked] = [asBytes(preview.original), asBytes(preview.masked)];
      this.pictures = { crop, index, count, scan, heldOut, original, masked };
      this.moments = [];
    }
    const earlier = this.moments.filter((moment) => moment.step < step);
    this.moments = [...earlier, { step, loss, reconstructed: asBytes(preview.reconstructed) }];
    if (this.moments.length > MOST) {
      const half = MOST / 2;
      this.moments = this.moments.filter((_, i) => i >= half || i % 2 === 0);
    }
  }
}

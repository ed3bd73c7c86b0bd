/** What the page's scan worker does, as types. */

import type { Audit } from '../data/audit.ts';
import type { ScanSource } from '../data/source.ts';
import type { Triple } from './slices.ts';

/** Grey levels, row by row. */
export interface Thumbnail {
  readonly width: number;
  readonly height: number;
  readonly grey: Uint8Array<ArrayBuffer>;
}

export type Look =
  | { readonly usable: true; readonly hash: string; readonly audit: Audit; readonly thumbnail: Thumbnail }
  | { readonly usable: false; readonly hash: string; readonly reason: string };

/** A scan to be looked at: HU along RAS axes, x fastest. */
export interface ViewVolume {
  readonly shape: Triple;
  /** Voxel sizes, mm. */
  readonly spacing: Triple;
  /** Voxel indices to mm, row-major. */
  readonly affine: readonly number[];
  readonly hu: Int16Array<ArrayBuffer>;
}

export interface ScanService {
  /** Reads one scan and audits it. Never throws for what is in its files. */
  look(source: ScanSource): Promise<Look>;
  /** Errors: those of `readScan`. */
  volume(source: ScanSource): Promise<ViewVolume>;
  /** Number `index` of the sample collection, as the NIfTI file that a scanner's export would be. */
  sample(index: number): Promise<File>;
}

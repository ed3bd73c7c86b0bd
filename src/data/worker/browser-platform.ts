/** Files and DICOM in browsers. */

import { HysparkError } from '../../errors.ts';
import { convertDicomInWorker } from '../dicom-browser.ts';
import type { Platform } from '../source.ts';

export const browserPlatform: Platform = {
  async open(handle) {
    if (handle instanceof Blob) return handle;
    throw new HysparkError('bad-argument', { doing: 'opening a file', got: 'a path', need: 'a File' });
  },
  convertDicom: convertDicomInWorker,
};

/** Files and DICOM in Node. */

import { openAsBlob } from 'node:fs';
import type { Platform } from '../data/source.ts';
import { convertDicomInThread } from './dicom-converter.ts';

export const nodePlatform: Platform = {
  open: async (handle) => (handle instanceof Blob ? handle : openAsBlob(handle)),
  convertDicom: convertDicomInThread,
};

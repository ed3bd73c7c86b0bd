/** The work of a data worker, as plain functions. */

import { prepareVolume } from '../prepare.ts';
import { auditSource, hashSource, type Platform, readCt, reasonOf } from '../source.ts';
import type { DataService } from './protocol.ts';

export function createDataService(platform: Platform): DataService {
  return {
    audit: (source) => auditSource(source, platform),
    async prepare(source, options, hash) {
      try {
        const { scan, audit } = await readCt(source, platform);
        // After reading: a volume is kept under its scan's hash, for later runs too.
        if (hash !== undefined && (await hashSource(source, platform)) !== hash) {
          return { usable: false, reason: 'The file was changed after it was added.' };
        }
        return { usable: true, audit, volume: prepareVolume(scan, options) };
      } catch (error) {
        return { usable: false, reason: reasonOf(error) };
      }
    },
  };
}

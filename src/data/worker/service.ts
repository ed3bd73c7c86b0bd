/** The work of a data worker, as plain functions. */

import { prepareVolume } from '../prepare.ts';
import { auditSource, type Platform, readCt, reasonOf } from '../source.ts';
import type { DataService } from './protocol.ts';

export function createDataService(platform: Platform): DataService {
  return {
    audit: (source) => auditSource(source, platform),
    async prepare(source, options) {
      try {
        const { scan, audit } = await readCt(source, platform);
        return { usable: true, audit, volume: prepareVolume(scan, options) };
      } catch (error) {
        return { usable: false, reason: reasonOf(error) };
      }
    },
  };
}

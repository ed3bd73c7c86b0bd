/** Puts a data service behind Comlink. Prepared volumes are moved to the caller, not copied. */

import * as Comlink from 'comlink';
import type { DataService } from './protocol.ts';

export function exposeDataService(service: DataService, endpoint?: Comlink.Endpoint): void {
  const exposed: DataService = {
    audit: (source) => service.audit(source),
    async prepare(source, options) {
      const result = await service.prepare(source, options);
      if (!result.usable) return result;
      const { voxels, planes } = result.volume;
      return Comlink.transfer(result, [voxels.buffer, planes.buffer]);
    },
  };
  Comlink.expose(exposed, endpoint);
}

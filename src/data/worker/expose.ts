/** Puts services behind Comlink. Volumes and crops are moved to the caller, not copied. */

import * as Comlink from 'comlink';
import './errors.ts';
import type { LoaderService } from './loader-service.ts';
import type { DataService } from './protocol.ts';

export function exposeDataService(service: DataService, endpoint?: Comlink.Endpoint): void {
  const exposed: DataService = {
    audit: (source) => service.audit(source),
    async prepare(source, options, hash) {
      const result = await service.prepare(source, options, hash);
      if (!result.usable) return result;
      const { voxels, planes } = result.volume;
      return Comlink.transfer(result, [voxels.buffer, planes.buffer]);
    },
  };
  Comlink.expose(exposed, endpoint);
}

export function exposeLoaderService(service: LoaderService, endpoint?: Comlink.Endpoint): void {
  const exposed: LoaderService = {
    ...service,
    async next() {
      const batch = await service.next();
      return Comlink.transfer(batch, [batch.voxels.buffer]);
    },
    async evaluationCrops(index, count) {
      const crops = await service.evaluationCrops(index, count);
      return Comlink.transfer(
        crops,
        crops.map(({ voxels }) => voxels.buffer),
      );
    },
  };
  Comlink.expose(exposed, endpoint);
}

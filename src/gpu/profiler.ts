/** Times launches one by one with timestamp queries. */

import { HysparkError } from '../errors.ts';
import type { Device } from './device.ts';

/** Queries a set may hold (WebGPU's limit). */
const MOST_QUERIES = 4096;

export class Profiler {
  private readonly queries: GPUQuerySet;
  private readonly resolved: GPUBuffer;
  private readonly staging: GPUBuffer;

  /** @param launches how many are timed in a run, at most 2048. */
  constructor(
    private readonly device: Device,
    private readonly launches: number,
  ) {
    if (!device.report.features.includes('timestamp-query') || launches * 2 > MOST_QUERIES) {
      throw new HysparkError('unsupported', {
        doing: 'Profiling launches',
        got: `${launches} launches on ${device.report.name}`,
        need: `the feature timestamp-query and at most ${MOST_QUERIES / 2} launches`,
      });
    }
    const bytes = launches * 16;
    this.queries = device.gpu.createQuerySet({ type: 'timestamp', count: launches * 2 });
    this.resolved = device.createBuffer('timestamps', bytes, GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC);
    this.staging = device.createBuffer('timestamps read', bytes, GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST);
  }

  /** Runs each launch in a pass of its own; returns nanoseconds for each. */
  async run(launches: readonly ((pass: GPUComputePassEncoder) => void)[]): Promise<number[]> {
    const encoder = this.device.gpu.createCommandEncoder();
    launches.forEach((launch, i) => {
      const pass = encoder.beginComputePass({
        timestampWrites: { querySet: this.queries, beginningOfPassWriteIndex: 2 * i, endOfPassWriteIndex: 2 * i + 1 },
      });
      launch(pass);
      pass.end();
    });
    encoder.resolveQuerySet(this.queries, 0, this.launches * 2, this.resolved, 0);
    encoder.copyBufferToBuffer(this.resolved, 0, this.staging, 0, this.launches * 16);
    this.device.submit(encoder.finish());
    await this.device.finished(this.staging.mapAsync(GPUMapMode.READ));
    const ticks = new BigUint64Array(this.staging.getMappedRange().slice(0));
    this.staging.unmap();
    return launches.map((_, i) => Number(ticks[2 * i + 1]! - ticks[2 * i]!));
  }

  destroy(): void {
    this.queries.destroy();
    this.resolved.destroy();
    this.staging.destroy();
  }
}

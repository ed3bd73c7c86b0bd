/** Times launches one by one: by timestamp queries where the device has them, else by the clock. */

import { HysparkError } from '../errors.ts';
import type { Device } from './device.ts';

/** Queries a set may hold (WebGPU's limit). */
const MOST_QUERIES = 4096;

type Launch = (pass: GPUComputePassEncoder) => void;

export class Profiler {
  private readonly stamps?: {
    readonly queries: GPUQuerySet;
    readonly resolved: GPUBuffer;
    readonly staging: GPUBuffer;
  };

  /** @param launches how many are timed in a run at the most; by timestamps no more than 2048. */
  constructor(
    private readonly device: Device,
    launches: number,
  ) {
    if (!device.report.features.includes('timestamp-query')) return;
    if (launches * 2 > MOST_QUERIES) {
      throw new HysparkError('unsupported', {
        doing: 'Profiling launches',
        got: `${launches} launches`,
        need: `at most ${MOST_QUERIES / 2}`,
      });
    }
    const bytes = launches * 16;
    this.stamps = {
      queries: device.gpu.createQuerySet({ type: 'timestamp', count: launches * 2 }),
      resolved: device.createBuffer('timestamps', bytes, GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC),
      staging: device.createBuffer('timestamps read', bytes, GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST),
    };
  }

  /**
   * Runs each launch in a pass of its own; returns nanoseconds for each. By timestamps they are one submission; by the clock each is one, and what
   * that costs is in its time.
   */
  run(launches: readonly Launch[]): Promise<number[]> {
    return this.stamps ? this.byTimestamps(this.stamps, launches) : this.byClock(launches);
  }

  private async byTimestamps(
    { queries, resolved, staging }: NonNullable<Profiler['stamps']>,
    launches: readonly Launch[],
  ): Promise<number[]> {
    const encoder = this.device.gpu.createCommandEncoder();
    launches.forEach((launch, i) => {
      const pass = encoder.beginComputePass({
        timestampWrites: { querySet: queries, beginningOfPassWriteIndex: 2 * i, endOfPassWriteIndex: 2 * i + 1 },
      });
      launch(pass);
      pass.end();
    });
    encoder.resolveQuerySet(queries, 0, launches.length * 2, resolved, 0);
    encoder.copyBufferToBuffer(resolved, 0, staging, 0, launches.length * 16);
    this.device.submit(encoder.finish());
    await this.device.finished(staging.mapAsync(GPUMapMode.READ));
    const ticks = new BigUint64Array(staging.getMappedRange().slice(0));
    staging.unmap();
    return launches.map((_, i) => Number(ticks[2 * i + 1]! - ticks[2 * i]!));
  }

  private async byClock(launches: readonly Launch[]): Promise<number[]> {
    const { gpu } = this.device;
    const times: number[] = [];
    await this.device.finished(gpu.queue.onSubmittedWorkDone());
    for (const launch of launches) {
      const start = performance.now();
      const encoder = gpu.createCommandEncoder();
      const pass = encoder.beginComputePass();
      launch(pass);
      pass.end();
      this.device.submit(encoder.finish());
      await this.device.finished(gpu.queue.onSubmittedWorkDone());
      times.push((performance.now() - start) * 1e6);
    }
    return times;
  }

  destroy(): void {
    for (const object of Object.values(this.stamps ?? {})) object.destroy();
  }
}

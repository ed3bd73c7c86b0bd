/** A run small enough for tests: a tiny network, crops from a formula instead of scans. */

import type { Batch } from '../data/loader.ts';
import { type Cursor, START } from '../data/sampler.ts';
import type { LoaderService } from '../data/worker/loader-service.ts';
import { type Device, openDevice } from '../gpu/device.ts';
import { Random } from '../random.ts';
import type { Store } from '../store/store.ts';
import { Run, type RunHost, type RunRequest } from '../train/run.ts';
import type { RunEvent, RunOptions, RunResult } from '../train/types.ts';
import { SMALL } from './hyspark.ts';

export const SMALL_RUN: RunOptions = {
  model: SMALL,
  batch: 1,
  steps: 8,
  evaluationCrops: 2,
  evaluateEvery: 4,
  checkpointEvery: 2,
  learningRate: 1e-3,
};

/** Batches follow from the cursor alone. @param spoil changes the voxels of batch number `index` */
export function formulaLoader(spoil: (voxels: Float32Array, index: number) => void = () => undefined): LoaderService {
  let [batch, size, at] = [1, 0, 0];
  const fill = (name: string, count: number) => {
    const random = Random.of('test crops', name);
    const [a, b, c] = [0, 1, 2].map((i) => 0.1 + 0.3 * random.uniform(i));
    return Float32Array.from({ length: count }, (_, i) => {
      const [x, y, z] = [Math.floor(i / size ** 2) % size, Math.floor(i / size) % size, i % size];
      return 0.5 + 0.4 * Math.sin(a! * x) * Math.sin(b! * y) * Math.sin(c! * z);
    });
  };
  return {
    async open(_files, options) {
      batch = options.batch;
      size = options.crop!;
      at = START.scan;
      return { training: ['scan-a', 'scan-b'], heldOut: ['scan-c'], setAside: [], ignored: 0 };
    },
    async seek(cursor: Cursor = START) {
      at = cursor.scan;
    },
    async next(): Promise<Batch> {
      const index = at++;
      const voxels = fill(`batch ${index}`, batch * size ** 3);
      spoil(voxels, index);
      const crop = {
        hash: `scan-${index % 2 ? 'a' : 'b'}`,
        epoch: 0,
        start: [0, 0, index],
        flips: [false, false, false],
      };
      return { voxels, crops: Array(batch).fill(crop), cursor: { epoch: 0, scan: at, crop: 0 } };
    },
    async evaluationCrops(index, count) {
      return Array.from({ length: count }, (_, i) => ({
        voxels: fill(`held out ${index} ${i}`, size ** 3),
        start: [0, 0, 0] as const,
        flips: [false, false, false] as const,
      }));
    },
    async status() {
      const statistics = { waitedMs: 0, elapsedMs: 0, batches: 0, cached: 0, prepared: 0 };
      return { statistics, setAside: [], cacheBytes: 0, cacheLimit: 0 };
    },
    close: async () => undefined,
  };
}

export interface SmallRun {
  readonly store: Store;
  readonly options?: RunOptions;
  readonly resume?: boolean;
  readonly loader?: LoaderService;
  readonly weights?: Blob;
  readonly partialWeights?: boolean;
  /** By default one device for all runs of a process. */
  readonly device?: RunHost['device'];
  readonly tuningCache?: Store;
  readonly onEvent?: (event: RunEvent, run: Run) => unknown;
}

let shared: Promise<Device> | undefined;

/** The adapter that tests run on, a device of its own. */
export function anotherDevice(): Promise<Device> {
  return openDevice({ adapter: (typeof process === 'undefined' ? '' : process.env?.HYSPARK_ADAPTER) || undefined });
}

/** A device that is lost when `lose` is called, and replaced when it is asked for again. */
export function losable() {
  let current: Device | undefined;
  let opened = 0;
  return {
    async device(): Promise<Device> {
      try {
        current?.check();
      } catch {
        current = undefined;
      }
      if (!current) {
        current = await anotherDevice();
        opened++;
      }
      return current;
    },
    lose: () => current!.gpu.destroy(),
    opened: () => opened,
  };
}

/** Prepares and takes a whole run. Its events come back with its result. */
export async function smallRun(setup: SmallRun): Promise<RunResult & { readonly events: readonly RunEvent[] }> {
  const { store, options = SMALL_RUN, resume = false, loader = formulaLoader(), onEvent } = setup;
  const { weights, partialWeights } = setup;
  shared ??= anotherDevice();
  const device = setup.device ?? (() => shared!);
  const events: RunEvent[] = [];
  const request: RunRequest = { files: [], options, resume, cacheLimit: 0, weights, partialWeights };
  const run: Run = new Run(
    {
      id: 'test',
      store,
      loader,
      device,
      tuningCache: setup.tuningCache,
      onEvent(event) {
        events.push(event);
        return onEvent?.(event, run);
      },
    },
    request,
  );
  await run.prepare();
  return { ...(await run.run()), events };
}

/** Warnings and errors of a run's log. */
export function troubles(events: readonly RunEvent[]): string[] {
  return events.flatMap((event) => (event.type === 'log' && event.line.level !== 'info' ? [event.line.text] : []));
}

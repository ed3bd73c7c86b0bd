/** The worker in which a page runs its benchmark, as the app's engine runs in one. To cancel is to end it. */

import { openDevice } from '../../gpu/device.ts';
import { OpfsStore } from '../../store/opfs.ts';
import { type BenchMessage, runBenchmark } from '../benchmark.ts';
import { BENCHMARKS } from '../benchmarks.ts';
import { browserName } from './browser.ts';

export interface RunRequest {
  readonly name: string;
  readonly parameters: Readonly<Record<string, string>>;
}

const FOLDER = 'hyspark-bench';

async function run({ name, parameters }: RunRequest): Promise<BenchMessage> {
  const store = new OpfsStore(FOLDER);
  const empty = async () => {
    for (const { path } of await store.list()) await store.remove(path);
  };
  try {
    await empty(); // a cancelled run leaves its files
    const report = await runBenchmark(
      BENCHMARKS.find((benchmark) => benchmark.name === name)!,
      parameters,
      {
        host: browserName(navigator.userAgent),
        processors: navigator.hardwareConcurrency,
        commit: __COMMIT__,
        store,
        open: (experimental) => openDevice({ experimental }),
      },
      (progress) => postMessage({ progress } satisfies BenchMessage),
    );
    return { report };
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) };
  } finally {
    await empty().catch(() => {}); // storage may be what failed
  }
}

addEventListener('message', async ({ data }: MessageEvent<RunRequest>) => postMessage(await run(data)));

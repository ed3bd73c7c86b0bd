/**
 * A process in which one benchmark runs on Node's Dawn: a process can load one driver only, and a benchmark's memory is its own. Started
 * with an IPC channel, on which it says `BenchMessage`s. Arguments: benchmark, parameters as JSON, adapter or nothing.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { openDevice } from '../../gpu/device.ts';
import { FolderStore } from '../../store/folder.ts';
import { type BenchMessage, runBenchmark } from '../benchmark.ts';
import { currentCommit } from './commit.ts';
import { NODE_BENCHMARKS } from './node-benchmarks.ts';

const [, , name, parameters, adapter] = process.argv;
const folder = mkdtempSync(join(tmpdir(), 'hyspark-bench-'));
let last: BenchMessage;
try {
  const report = await runBenchmark(
    NODE_BENCHMARKS.find((benchmark) => benchmark.name === name)!,
    JSON.parse(parameters!) as Record<string, string>,
    {
      host: `Node ${process.versions.node} (Dawn)`,
      processors: availableParallelism(),
      commit: currentCommit(),
      store: new FolderStore(folder),
      open: (experimental) => openDevice({ adapter: adapter || undefined, experimental }),
    },
    (progress) => process.send!({ progress } satisfies BenchMessage),
  );
  last = { report };
} catch (error) {
  last = { error: error instanceof Error ? error.message : String(error) };
}
rmSync(folder, { recursive: true, force: true });
process.send!(last, () => process.exit()); // Dawn keeps the event loop alive

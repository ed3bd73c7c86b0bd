/** The benchmarks of the pages, and those that need Node itself. */

import type { Benchmark } from '../benchmark.ts';
import { BENCHMARKS } from '../benchmarks.ts';
import { DISK } from './disk.ts';

export const NODE_BENCHMARKS: readonly Benchmark[] = [...BENCHMARKS, DISK];

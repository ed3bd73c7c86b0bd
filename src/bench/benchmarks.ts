/** All benchmarks that run in a page and in Node, in the order of the index. */

import type { Benchmark } from './benchmark.ts';
import { DATA } from './data.ts';
import { ENCODER } from './encoder.ts';
import { KERNELS } from './kernels.ts';
import { MEMORY } from './memory.ts';
import { SAVINGS } from './savings.ts';
import { STEP } from './step.ts';

export const BENCHMARKS: readonly Benchmark[] = [KERNELS, STEP, ENCODER, SAVINGS, DATA, MEMORY];

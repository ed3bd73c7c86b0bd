/**
 * Sums over the rows of a [rows, channels] matrix, a channel at a time, in a fixed order: deterministic without atomics.
 *
 * Pass 1, `columnPartials`: thread (chunk, channel) adds rows chunk, chunk + chunks, …; neighbouring threads read neighbouring
 * addresses. Pass 2 adds the chunks' sums: `columnTree`, a workgroup a channel in a tree, or `columnFinish`, a thread a channel in turn.
 */

import { fold } from './lib/fold.ts';
import {
  CPU_THREADS,
  type ElementType,
  elementwise,
  type Kernel,
  kernel,
  strided,
  type UniformType,
  WORKGROUP,
} from './lib/kernel.ts';

/** Threads of pass 1 to aim for: fills a large GPU; on a few CPU cores, little is left for pass 2. */
const TARGET_THREADS = { gpu: 65536, software: CPU_THREADS } as const;

/** Chunks that rows are dealt to; at most as many as there are rows, and each with some rows to be worth its start. */
export function columnChunks(rows: number, channels: number, software: boolean): number {
  const threads = TARGET_THREADS[software ? 'software' : 'gpu'];
  return Math.max(1, Math.min(Math.ceil(rows / 8), Math.floor(threads / channels)));
}

export interface ColumnTerms {
  /** Distinguishes what is summed; part of the kernel's id. */
  readonly name: string;
  readonly reads: Readonly<Record<string, ElementType>>;
  readonly uniforms?: Readonly<Record<string, UniformType>>;
  /** WGSL that may use `channel`; runs once, for a thread stays with its channel. */
  readonly head?: string;
  /** WGSL that may use `at` (element index), `row` and `channel`; runs before the terms of each element. */
  readonly prelude?: string;
  /** WGSL expressions, one for each sum. */
  readonly terms: readonly string[];
  readonly library?: string;
}

/** Writes `partials` [terms, chunks, channels]. Uniforms: count = chunks · channels, rows, channels. */
export function columnPartialsKernel(
  { name, reads, uniforms = {}, head = '', prelude = '', terms, library = '' }: ColumnTerms,
  ahead: number,
): Kernel {
  const body = `
  let channel = i % u.channels;
  let end = u.rows * u.channels;
  ${head}
  ${terms.map((_, t) => `var sum${t} = 0.0;`).join(' ')}
  ${strided('i', 'end', 'u.count', ahead, `let row = at / u.channels; ${prelude} ${terms.map((term, t) => `sum${t} += ${term};`).join(' ')}`)}
  ${terms.map((_, t) => `partials[i + ${t}u * u.count] = sum${t};`).join(' ')}`;
  return kernel({
    name: `column-partials-${name}`,
    variant: { ahead },
    reads,
    writes: { partials: 'f32' },
    uniforms: { count: 'u32', rows: 'u32', channels: 'u32', ...uniforms },
    code: library + elementwise(body),
  });
}

const totals = (terms: number) => Object.fromEntries(numbered(terms).map((t) => [`total${t}`, 'f32' as const]));
const numbered = (terms: number) => Array.from({ length: terms }, (_, t) => t);

/** Writes a [channels] sum for each term: total0, total1, … A thread a channel: `count` channels. */
export function columnFinishKernel(terms: number): Kernel {
  const each = (line: (t: number) => string) => numbered(terms).map(line).join('\n  ');
  const code = elementwise(`
  ${each((t) => `var sum${t} = 0.0;`)}
  for (var chunk = 0u; chunk < u.chunks; chunk++) {
    ${each((t) => `sum${t} += partials[(${t}u * u.chunks + chunk) * u.count + i];`)}
  }
  ${each((t) => `total${t}[i] = sum${t};`)}`);
  const uniforms = { count: 'u32', chunks: 'u32' } as const;
  const reads = { partials: 'f32' } as const;
  return kernel({ name: 'column-finish', variant: { terms }, reads, writes: totals(terms), uniforms, code });
}

/** As `columnFinish`, a workgroup a channel: 256 B of workgroup memory a term. */
export function columnTreeKernel(terms: number): Kernel {
  const numbers = numbered(terms);
  const each = (line: (t: number) => string) => numbers.map(line).join('\n  ');
  const code = `
${each((t) => `var<workgroup> tree${t}: array<f32, ${WORKGROUP}>;`)}
@compute @workgroup_size(${WORKGROUP})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
  let channel = group.y * groups.x + group.x;
  ${each((t) => `var sum${t} = 0.0;`)}
  if (channel < u.channels) {
    for (var chunk = local; chunk < u.chunks; chunk += ${WORKGROUP}u) {
      ${each((t) => `sum${t} += partials[(${t}u * u.chunks + chunk) * u.channels + channel];`)}
    }
  }
  ${each((t) => `tree${t}[local] = sum${t};`)}
  ${fold(each((t) => `tree${t}[local] += tree${t}[other];`))}
  if (local == 0u && channel < u.channels) {
    ${each((t) => `total${t}[channel] = tree${t}[0];`)}
  }
}`;
  const uniforms = { channels: 'u32', chunks: 'u32' } as const;
  const reads = { partials: 'f32' } as const;
  return kernel({ name: 'column-tree', variant: { terms }, reads, writes: totals(terms), uniforms, code });
}

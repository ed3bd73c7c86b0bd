/**
 * What a benchmark is: its parameters, and a `run` that compares results with a reference, warms up, measures and returns tables and
 * charts. It does not know whether it runs in a page's worker or in Node.
 */

import { HysparkError } from '../errors.ts';
import type { AdapterReport, Experimental } from '../gpu/adapter.ts';
import type { Device } from '../gpu/device.ts';
import type { Store } from '../store/store.ts';
import type { Spread } from './statistics.ts';

/** A parameter comes as text: from a URL, a form or a command line. */
export interface Parameter<T> {
  readonly about: string;
  readonly default: string;
  /** All values there are, where they can be listed. */
  readonly choices?: readonly string[];
  /** Error `bad-argument` without the parameter's name. */
  parse(text: string): T;
}

export type Parameters = Readonly<Record<string, Parameter<unknown>>>;
export type Values<P extends Parameters> = { readonly [K in keyof P]: ReturnType<P[K]['parse']> };

export interface BenchContext {
  /** Opened when first asked for, disposed after the run. */
  device(experimental?: Experimental): Promise<Device>;
  /** Room for files, empty before and after. */
  readonly store: Store;
  progress(done: number, of: number, doing: string): void;
}

/** `ms`, and what is derived from it, are absolute: on a software adapter they say nothing to others. */
export type Unit = 'ms' | 'GFLOP/s' | 'GB/s' | 'crops/s' | 'scans/min' | 'MiB' | 'GFLOP' | '×' | '%';
export type Cell = string | number | Spread | undefined;

export interface Column {
  readonly key: string;
  readonly label: string;
  readonly unit?: Unit;
}

/** The first column names the row: by that name it is found again in an earlier result. */
export interface Table {
  readonly name: string;
  readonly columns: readonly Column[];
  readonly rows: readonly Readonly<Record<string, Cell>>[];
}

export interface Bar {
  readonly series: string;
  readonly value: number;
  readonly low?: number;
  readonly high?: number;
}

export type Chart =
  | {
      readonly kind: 'bars';
      readonly title: string;
      readonly unit: string;
      /** Bars of a group are placed end to end instead of below each other. */
      readonly stacked?: boolean;
      readonly groups: readonly { readonly name: string; readonly bars: readonly Bar[] }[];
    }
  | {
      readonly kind: 'lines';
      readonly title: string;
      readonly x: string;
      readonly y: string;
      readonly series: readonly {
        readonly name: string;
        /** Dashed: a line to compare with, not measured. */
        readonly guide?: boolean;
        readonly points: readonly {
          readonly x: number;
          readonly y: number;
          readonly low?: number;
          readonly high?: number;
        }[];
      }[];
    };

export interface BenchResult {
  readonly tables: readonly Table[];
  readonly charts: readonly Chart[];
  /** Sentences: what was compared before timing, and how to read the figures. */
  readonly notes: readonly string[];
}

/** What has parameters. */
export interface Parametrised<P extends Parameters = Parameters> {
  /** In its address and on the command line. */
  readonly name: string;
  readonly parameters: P;
}

export interface Benchmark extends Parametrised {
  readonly title: string;
  readonly about: string;
  run(values: Readonly<Record<string, unknown>>, context: BenchContext): Promise<BenchResult>;
}

/** Where a benchmark runs. */
export interface Place {
  /** Browser or runtime with its version. */
  readonly host: string;
  readonly processors: number;
  readonly commit: string;
  readonly store: Store;
  open(experimental?: Experimental): Promise<Device>;
}

export interface BenchReport extends BenchResult {
  readonly benchmark: string;
  readonly parameters: Readonly<Record<string, string>>;
  /** Absent where no GPU was asked for. */
  readonly adapter?: Pick<AdapterReport, 'name' | 'class'>;
  readonly host: string;
  readonly processors: number;
  readonly commit: string;
  /** ISO 8601. */
  readonly date: string;
  readonly seconds: number;
}

export interface Progress {
  /** 0 to 1. */
  readonly share: number;
  readonly doing: string;
}

/** What a worker or child process says of the benchmark that it runs. */
export type BenchMessage =
  | { readonly progress: Progress }
  | { readonly report: BenchReport }
  | { readonly error: string };

export function defineBenchmark<P extends Parameters>(benchmark: {
  readonly name: string;
  readonly title: string;
  readonly about: string;
  readonly parameters: P;
  run(values: Values<P>, context: BenchContext): Promise<BenchResult>;
}): Benchmark {
  return benchmark;
}

/** Texts of all parameters: those given, defaults for the others. Error `bad-argument` for one that the benchmark does not have. */
export function parameterTexts(
  benchmark: Parametrised,
  given: Readonly<Record<string, string>>,
): Record<string, string> {
  for (const name of Object.keys(given)) {
    if (name in benchmark.parameters) continue;
    throw new HysparkError('bad-argument', {
      doing: `Benchmark ${benchmark.name}`,
      got: `the parameter "${name}"`,
      need: Object.keys(benchmark.parameters).join(', '),
    });
  }
  return Object.fromEntries(Object.entries(benchmark.parameters).map(([name, p]) => [name, given[name] ?? p.default]));
}

export function parseParameters<P extends Parameters>(
  benchmark: Parametrised<P>,
  texts: Readonly<Record<string, string>>,
): Values<P> {
  const values = Object.fromEntries(
    Object.entries(benchmark.parameters).map(([name, parameter]) => {
      try {
        return [name, parameter.parse(texts[name]!.trim())];
      } catch (cause) {
        if (!(cause instanceof HysparkError)) throw cause;
        throw new HysparkError(cause.code, { ...cause.parts, doing: `Parameter "${name}"`, cause });
      }
    }),
  );
  return values as Values<P>;
}

/** Runs a benchmark and says under which conditions. */
export async function runBenchmark(
  benchmark: Benchmark,
  given: Readonly<Record<string, string>>,
  place: Place,
  report: (progress: Progress) => void,
): Promise<BenchReport> {
  const parameters = parameterTexts(benchmark, given);
  const values = parseParameters(benchmark, parameters);
  let opening: Promise<Device> | undefined;
  const context: BenchContext = {
    store: place.store,
    device(experimental) {
      opening ??= place.open(experimental);
      return opening;
    },
    progress: (done, of, doing) => report({ share: Math.min(1, done / of), doing }),
  };
  const start = performance.now();
  try {
    const result = await benchmark.run(values, context);
    const device = await opening;
    device?.check();
    return {
      benchmark: benchmark.name,
      parameters,
      adapter: device?.report,
      host: place.host,
      processors: place.processors,
      commit: place.commit,
      date: new Date().toISOString(),
      seconds: (performance.now() - start) / 1000,
      ...result,
    };
  } finally {
    await opening?.then(
      (device) => device.dispose(),
      () => {}, // it never opened
    );
  }
}

/** The error of a comparison with a reference. NaN never passes. */
export function mustBeClose(what: string, difference: number, tolerance: number): void {
  if (difference <= tolerance) return;
  throw new HysparkError('gpu-validation', {
    doing: `Checking ${what}`,
    got: `a relative difference of ${difference}`,
    need: `at most ${tolerance}`,
  });
}

/** By what launches are timed on an adapter (`Plan.profile`), for notes. */
export function clockOf({ features }: AdapterReport): string {
  if (features.includes('timestamp-query')) return 'the GPU’s timestamps';
  return 'the clock, from submission to end, for the device has no timestamps: what a submission costs is in them';
}

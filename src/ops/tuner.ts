/**
 * Choosing by measuring: for each question a few candidates are timed on this device, one question after the other, until a time is up. The
 * default stays where it is not beaten clearly, where nothing was measured, and instead of a candidate that does not compile or computes
 * something else.
 */

import type { Kernel } from '../../shaders/lib/kernel.ts';
import { HysparkError } from '../errors.ts';
import type { Device } from '../gpu/device.ts';
import type { Tuning } from '../tape/op.ts';
import type { Plan } from '../tape/plan.ts';
import type { Tensor } from '../tape/tensor.ts';
import { Scratch } from './trial-scratch.ts';
import {
  type Bench,
  CLEARLY,
  type FirstTrial,
  firstTrial,
  isMeasured,
  mostInARow,
  trialFlops,
  warmUp,
  whileBusy,
} from './trial-warm-up.ts';

/** A way to do something. */
export interface Alternative {
  /** Says what it does, not where it stands in a list: it is stored. */
  readonly name: string;
  /** How far its results may be from those of others, of the largest. */
  readonly tolerance: number;
}

/** Something that can be done in several ways. */
export interface Question<A extends Alternative = Alternative> {
  /** What it is about, by all that the ways depend on. */
  readonly key: string;
  /** The default first. */
  readonly candidates: readonly A[];
  /** FLOPs of all that is done so. */
  readonly flops: number;
  /** Of the largest tensor that its trials read. */
  readonly bytes: number;
  kernelsOf(candidate: A): readonly Kernel[];
  /** How it is tried in launches of about so many FLOPs, unless the least possible has more; undefined where it cannot be. */
  trial(mostFlops: number): TrialSetting<A> | undefined;
}

export interface TrialSetting<A extends Alternative = Alternative> {
  /** Of the default. */
  readonly flops: number;
  /** Whether it is less than the whole. */
  readonly isCut: boolean;
  /** The plan has been stepped once. Rejects where a kernel does not compile. */
  build(device: Device, candidate: A, scratch: Scratch): Promise<Trial>;
}

/** A candidate, ready to be timed. */
export interface Trial {
  readonly plan: Plan;
  /** What candidates must agree on. */
  readonly results: readonly Tensor[];
}

/** How a tuner measures; tests bring their own. */
export interface Stopwatch {
  /** Milliseconds. */
  now(): number;
  /**
   * Milliseconds of a candidate's launch in a plan that is warm. What is not above zero, or infinite, was not measured.
   * @param most launches that may be submitted in a row
   */
  time(plan: Plan, candidate: string, most: number): Promise<number>;
}

export interface TuneOptions {
  /** Wall time that it may take. Default 2000. */
  readonly milliseconds?: number;
  readonly stopwatch?: Stopwatch;
}

export const TUNING_MILLISECONDS = 2000;
/** Questions whose kernels are built at a time: a driver takes longer to build one than to time it, and has several threads for it. */
const COMPILED_AHEAD = 4;
/** Timings of each candidate, in turns with the others. */
const ROUNDS = 3;
/** Results are compared over so many numbers at the start and at the end. */
const COMPARED = 16384;
/** Of the largest: how far apart two results may be stored that hardly differ, as neighbours among f16's numbers. */
const STORED_AS_F16 = 2 ** -10;

/** A candidate for every question: the one measured to be fastest, or the default. Rejects only where the device was lost. */
export async function tune(
  device: Device,
  questions: readonly Question[],
  { milliseconds = TUNING_MILLISECONDS, stopwatch = gpuStopwatch() }: TuneOptions = {},
): Promise<Tuning> {
  const tuning: Record<string, string> = {};
  for (const { key, candidates } of questions) tuning[key] = candidates[0]!.name;
  const deadline = stopwatch.now() + milliseconds;
  const isUp = () => stopwatch.now() >= deadline;
  const scratch = await Scratch.allocate(device, Math.max(4, ...questions.map(({ bytes }) => bytes))).catch(
    onlyWhileAlive(device),
  );
  if (!scratch) return tuning;
  const alarm = alarmIn(deadline - stopwatch.now());
  const bench = { device, scratch, stopwatch, isUp };
  let first: FirstTrial | undefined;
  try {
    const compiled: Promise<readonly Alternative[]>[] = []; // some questions ahead of the one that is measured
    let flops = 0;
    for (const [n, question] of questions.entries()) {
      if (isUp()) break;
      for (const ahead of questions.slice(compiled.length, n + COMPILED_AHEAD)) {
        compiled.push(compileAll(device, ahead));
      }
      const waiting = Promise.race([compiled[n]!, alarm.rings]);
      const usable = await (first ? whileBusy(waiting, first) : waiting).catch(onlyWhileAlive(device));
      if (!usable) break;
      if (usable[0] !== question.candidates[0] || usable.length < 2) continue;
      first ??= await firstTrial(bench, question).catch(onlyWhileAlive(device));
      if (!first) continue;
      flops ||= first.flops;
      const found = await fastest(bench, question, usable, flops).catch(onlyWhileAlive(device));
      if (!found) continue;
      flops = trialFlops(found.flopsPerMillisecond);
      tuning[question.key] = found.name;
    }
  } finally {
    first?.plan.destroy();
    alarm.off();
    scratch.destroy();
  }
  return tuning;
}

/** The candidates whose kernels compile here. */
async function compileAll(device: Device, { candidates, kernelsOf }: Question): Promise<readonly Alternative[]> {
  const all = candidates.map((candidate) =>
    Promise.all(kernelsOf(candidate).map((kernel) => device.compile(kernel))).then(
      () => candidate,
      () => undefined,
    ),
  );
  return (await Promise.all(all)).filter((candidate) => candidate !== undefined);
}

interface Found {
  /** Of the candidate to take. */
  readonly name: string;
  /** Of the default. */
  readonly flopsPerMillisecond: number;
}

/** Undefined where the default does not run, the clock does not, or time is up before all were measured. */
async function fastest(
  { device, scratch, stopwatch, isUp }: Bench,
  { candidates, trial: trialOf }: Question,
  usable: readonly Alternative[],
  mostFlops: number,
): Promise<Found | undefined> {
  const [usual] = candidates;
  const setting = trialOf(mostFlops);
  if (!setting) return undefined;
  const trials: { readonly name: string; readonly plan: Plan; readonly times: number[]; agrees: boolean }[] = [];
  let expected: readonly Float32Array[] | undefined;
  try {
    for (const candidate of usable) {
      if (isUp()) return undefined;
      const trial = await setting.build(device, candidate, scratch).catch(onlyWhileAlive(device));
      if (!trial) continue;
      const { plan, results } = trial;
      const entry = { name: candidate.name, plan, times: [], agrees: false };
      trials.push(entry);
      const values = await Promise.all(results.map((result) => sample(plan, result)));
      entry.agrees = expected
        ? expected.every((list, i) =>
            agree(list, values[i]!, candidate.tolerance + (results[i]!.storage === 'f16' ? STORED_AS_F16 : 0)),
          )
        : candidate === usual && values.every((list) => list.every(Number.isFinite));
      expected ??= values;
    }
    const most = mostInARow(setting);
    const agreeing = trials.filter(({ agrees }) => agrees);
    if (agreeing[0]) await warmUp(agreeing[0].plan, most, isUp);
    for (let round = 0; round < ROUNDS; round++) {
      // To and fro: a clock that still rises, or falls, favours none.
      for (const { name, plan, times } of round % 2 === 0 ? agreeing : [...agreeing].reverse()) {
        if (isUp()) return undefined;
        const milliseconds = await stopwatch.time(plan, name, most);
        if (!isMeasured(milliseconds)) return undefined; // not by this clock
        times.push(milliseconds);
      }
    }
    const [first, ...others] = agreeing.map(({ name, times }) => ({ name, milliseconds: median(times) }));
    if (first?.name !== usual.name) return undefined;
    const limit = CLEARLY * first.milliseconds;
    const quick = others.filter(({ milliseconds }) => milliseconds < limit);
    const best = quick.reduce((a, b) => (b.milliseconds < a.milliseconds ? b : a), quick[0] ?? first);
    return { name: best.name, flopsPerMillisecond: setting.flops / first.milliseconds };
  } finally {
    for (const { plan } of trials) plan.destroy();
  }
}

/** Numbers at the start and at the end of a result. */
async function sample(plan: Plan, result: Tensor): Promise<Float32Array> {
  const count = Math.min(COMPARED, result.size);
  const ends = await Promise.all([plan.read(result, 0, count), plan.read(result, result.size - count, count)]);
  return Float32Array.from({ length: 2 * count }, (_, i) => ends[i < count ? 0 : 1][i % count]!);
}

function agree(expected: Float32Array, got: Float32Array, tolerance: number): boolean {
  const largest = expected.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
  return expected.every((v, i) => Math.abs(v - got[i]!) <= tolerance * largest);
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1]!;
}

/** For a `catch`: goes on with nothing after an error of ours on a device that still works. */
function onlyWhileAlive(device: Device): (error: unknown) => undefined {
  return (error) => {
    device.check();
    if (!(error instanceof HysparkError)) throw error;
  };
}

/** For what takes its own time, such as a driver's compiler. */
function alarmIn(milliseconds: number): { readonly rings: Promise<undefined>; off(): void } {
  let off = () => {};
  const rings = new Promise<undefined>((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    off = () => clearTimeout(timer);
  });
  return { rings, off };
}

/** A timed row of launches takes at least this long: browsers make timestamps a tenth of a millisecond coarse. */
const ROW_MILLISECONDS = 3;
const MOST_IN_A_ROW = 256;

function gpuStopwatch(): Stopwatch {
  const counts = new WeakMap<Plan, number>();
  return {
    now: () => performance.now(),
    async time(plan, _, most) {
      const limit = Math.min(MOST_IN_A_ROW, most);
      let count = counts.get(plan) ?? 1;
      let total = await plan.time(count);
      while (total < ROW_MILLISECONDS && count < limit) {
        const wanted = Math.ceil((count * ROW_MILLISECONDS) / Math.max(total, 0.01));
        count = Math.min(limit, Math.max(2 * count, wanted));
        total = await plan.time(count);
      }
      counts.set(plan, count);
      return total / count;
    },
  };
}

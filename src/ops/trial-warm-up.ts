/**
 * What a fair trial needs: enough work to fill this GPU, and a GPU that runs at its clock. One that was idle runs at a fraction of it, up to half a
 * second of work long, and drops it again while kernels are built.
 */

import type { Device } from '../gpu/device.ts';
import type { Plan } from '../tape/plan.ts';
import type { Scratch } from './trial-scratch.ts';
import type { Question, Stopwatch, TrialSetting } from './tuner.ts';

export interface Bench {
  readonly device: Device;
  readonly scratch: Scratch;
  readonly stopwatch: Stopwatch;
  isUp(): boolean;
}

/** A candidate must need less than this share of the default's time: less is noise, and the default is known to be good elsewhere. */
export const CLEARLY = 0.97;
/** A row of launches is at least so long, in which what happens between rows is little: a GPU that waits a third of the time keeps a low clock. */
const ROW_MILLISECONDS = 5;
/** Rows of a plan until it is no longer expected to get faster. */
const MOST_WARM_UPS = 40;
/** Work of a trial's launch: about what this GPU does in so long, which fills it. The first is a guess, which grows by at least so much. */
const TRIAL_MILLISECONDS = 2;
const FIRST_FLOPS = 2e9;
const GROWTH = 4;
const LEAST_FLOPS = 1e8;
/** Of what is submitted at a time, whatever the clock says: some milliseconds of a large GPU, a second of a small one. */
const MOST_FLOPS = 1e11;

/** The size of trials on a GPU of this speed. */
export function trialFlops(flopsPerMillisecond: number): number {
  return Math.min(MOST_FLOPS, Math.max(LEAST_FLOPS, TRIAL_MILLISECONDS * flopsPerMillisecond));
}

/** Launches of a trial that may be submitted in a row. */
export function mostInARow({ flops }: TrialSetting): number {
  return Math.max(1, Math.floor(MOST_FLOPS / flops));
}

export function isMeasured(milliseconds: number): boolean {
  return milliseconds > 0 && Number.isFinite(milliseconds);
}

export interface FirstTrial {
  /** That fill this GPU for a trial's time. */
  readonly flops: number;
  /** Of such a trial, which is what keeps it busy. */
  readonly plan: Plan;
  /** Launches of it that may be submitted in a row. */
  readonly most: number;
}

/** Tries a question's default with more and more work. Undefined where it cannot be tried, or the clock does not say. */
export async function firstTrial(
  { device, scratch, stopwatch, isUp }: Bench,
  { candidates, trial }: Question,
): Promise<FirstTrial | undefined> {
  const [usual] = candidates;
  let plan: Plan | undefined;
  try {
    for (let [flops, done] = [FIRST_FLOPS, 0]; ; ) {
      const setting = trial(flops);
      if (!setting || isUp()) return undefined;
      const { plan: larger } = await setting.build(device, usual!, scratch);
      plan?.destroy();
      plan = larger;
      const most = mostInARow(setting);
      await warmUp(plan, most, isUp);
      const milliseconds = await stopwatch.time(plan, usual!.name, most);
      if (!isMeasured(milliseconds)) return undefined;
      const suited = trialFlops(setting.flops / milliseconds);
      // Bricks are whole and scratch space is bounded, so that asking for more may not make more.
      const isLargest = !setting.isCut || flops >= MOST_FLOPS || setting.flops <= done;
      if (isLargest || milliseconds >= TRIAL_MILLISECONDS / 2) {
        const first = { flops: suited, plan, most };
        plan = undefined;
        return first;
      }
      done = setting.flops;
      flops = Math.min(MOST_FLOPS, Math.max(GROWTH * flops, suited));
    }
  } finally {
    plan?.destroy();
  }
}

/** Runs a plan until three rows of it in turn were no faster than the fastest before. @param most launches in a row */
export async function warmUp(plan: Plan, most: number, isUp: () => boolean): Promise<void> {
  let [fastest, inTurn] = [Number.POSITIVE_INFINITY, 0];
  const row = rowsOf(plan, most);
  for (let n = 0; n < MOST_WARM_UPS && inTurn < 3 && !isUp(); n++) {
    const milliseconds = Math.max(0, await row());
    inTurn = milliseconds < CLEARLY * fastest ? 0 : inTurn + 1;
    fastest = Math.min(fastest, milliseconds);
  }
}

/** Waits, and runs a trial meanwhile. */
export async function whileBusy<T>(pending: Promise<T>, { plan, most }: FirstTrial): Promise<T> {
  let isPending = true;
  const settle = () => {
    isPending = false;
  };
  pending.then(settle, settle);
  const row = rowsOf(plan, most);
  while (isPending) await row();
  return pending;
}

/** Runs rows of a plan, as long as the one before says that they must be; each gives milliseconds of a launch. */
function rowsOf(plan: Plan, most: number): () => Promise<number> {
  let count = 1;
  return async () => {
    const each = (await plan.time(count)) / count;
    count = each > 0 ? Math.min(most, Math.ceil(ROW_MILLISECONDS / each)) : 1;
    return each;
  };
}

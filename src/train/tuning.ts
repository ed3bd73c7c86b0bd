/**
 * Which kernels a run on a real GPU uses: what this adapter's cache says, and what it lacks is measured once. Entries never change while
 * their kernels do not, so equal runs on one adapter stay equal; a run keeps the choices that it was started with.
 */

import { HysparkError } from '../errors.ts';
import type { AdapterReport } from '../gpu/adapter.ts';
import type { Device } from '../gpu/device.ts';
import { tuneInTurn } from '../ops/tune-in-turn.ts';
import { type Question, TUNING_MILLISECONDS, type TuneOptions, tune } from '../ops/tuner.ts';
import { fnv1a32 } from '../random.ts';
import type { Store } from '../store/store.ts';
import type { Tuning } from '../tape/op.ts';
import { recordRun } from './network.ts';
import type { RunConfig } from './types.ts';

/** `tuning/…json`. */
interface TuningFile {
  readonly format: 1;
  readonly adapter: string;
  /** By key: the candidate, and the version of the kernels that it was chosen from. */
  readonly choices: Readonly<Record<string, { readonly name: string; readonly version: string }>>;
}

/**
 * The kernels for a run; undefined on adapters whose table is not measured (software).
 * @param cache where choices are kept from run to run
 * @param onMeasure called before anything is measured, which takes two seconds at most
 */
export async function chooseKernels(
  device: Device,
  config: RunConfig,
  cache: Store,
  onMeasure: () => void = () => undefined,
  { stopwatch, milliseconds: most = TUNING_MILLISECONDS }: TuneOptions = {},
): Promise<Tuning | undefined> {
  if (device.report.class !== 'gpu') return undefined;
  const now = () => stopwatch?.now() ?? performance.now();
  const began = now();
  // What is fastest depends on how maps are stored, too.
  const entryOf = (key: string) => (config.precision === 'mixed' ? `mixed ${key}` : key);
  const path = fileOf(device.report);
  const choices: Record<string, TuningFile['choices'][string]> = {
    ...(await readChoices(cache, path, device.report)),
  };
  let isMeasuring = false;
  const tapesFor = (tuning: Tuning) => {
    const { pass, update, judge } = recordRun(config, { ...device.report, tuning });
    return [...new Set([pass.tape, update.tape, judge.tape])];
  };
  return tuneInTurn(device.report, tapesFor, async (questions, share) => {
    const versions = new Map(questions.map((question) => [question.key, versionOf(question)]));
    const missing = questions.filter(({ key }) => choices[entryOf(key)]?.version !== versions.get(key));
    const keep = (names: Tuning) => {
      for (const [key, name] of Object.entries(names)) {
        choices[entryOf(key)] = { name, version: versions.get(key)! };
      }
      return writeChoices(cache, path, device.report, choices);
    };
    if (missing.length > 0) {
      if (!isMeasuring) onMeasure();
      isMeasuring = true;
      // The defaults first: a candidate that costs the device, or the process, is not tried twice.
      await keep(Object.fromEntries(missing.map(({ key, candidates }) => [key, candidates[0]!.name])));
      const milliseconds = share * (most - (now() - began)); // finding the questions counts
      await keep(await tune(device, missing, { milliseconds, stopwatch }));
    }
    return Object.fromEntries(questions.map(({ key }) => [key, choices[entryOf(key)]!.name]));
  });
}

/** The kernels that a choice was between, in short: a changed kernel is measured again. */
function versionOf({ candidates, kernelsOf }: Question): string {
  const texts = candidates.flatMap((candidate) => [candidate.name, ...kernelsOf(candidate).map(({ wgsl }) => wgsl)]);
  return hash(texts.join('\n'));
}

function hash(text: string): string {
  return fnv1a32(text).toString(16).padStart(8, '0');
}

function adapterText({ vendor, architecture, name, runtime }: AdapterReport): string {
  return [vendor, architecture, name, runtime].join(' / ');
}

function fileOf(report: AdapterReport): string {
  const readable = `${report.vendor}-${report.architecture}`.replace(/[^\w.-]/g, '_');
  return `tuning/${readable}-${hash(adapterText(report))}.json`;
}

/** Nothing where there is no file, or one that is damaged or another adapter's: it will be written anew. */
async function readChoices(cache: Store, path: string, report: AdapterReport): Promise<TuningFile['choices']> {
  try {
    const file = JSON.parse(await (await cache.open(path)).text()) as TuningFile;
    if (file.format !== 1 || file.adapter !== adapterText(report)) return {};
    const sound = Object.entries(file.choices).every(
      ([, choice]) => typeof choice?.name === 'string' && typeof choice.version === 'string',
    );
    return sound ? file.choices : {};
  } catch {
    return {};
  }
}

/** A cache that cannot be written costs the next run two seconds, not this one its life. */
async function writeChoices(cache: Store, path: string, report: AdapterReport, choices: TuningFile['choices']) {
  const file: TuningFile = { format: 1, adapter: adapterText(report), choices };
  await cache.write(path, new TextEncoder().encode(`${JSON.stringify(file, null, 1)}\n`)).catch((error: unknown) => {
    if (!(error instanceof HysparkError) || error.code !== 'storage') throw error;
  });
}

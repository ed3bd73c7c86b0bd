/** Numbers and errors as people read them. */

import { HysparkError } from '../errors.ts';

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/** 1536 → `1.5 KiB`. */
export function bytes(count: number): string {
  let value = count;
  let unit = 0;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 || value >= 100 ? value.toFixed(0) : value.toPrecision(2)} ${UNITS[unit]}`;
}

/** 5_600_000 → `5.6 M`. */
export function count(value: number): string {
  for (const [size, letter] of [
    [1e12, 'T'],
    [1e9, 'G'],
    [1e6, 'M'],
    [1e3, 'k'],
  ] as const) {
    if (value >= size) return `${Number((value / size).toPrecision(3))} ${letter}`;
  }
  return String(value);
}

/** Seconds as `45 s`, `3 min 20 s`, `2 h 05 min`. */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return '–';
  const s = Math.round(seconds);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${String(s % 60).padStart(2, '0')} s`;
  return `${Math.floor(s / 3600)} h ${String(Math.floor((s % 3600) / 60)).padStart(2, '0')} min`;
}

export function digits(value: number | undefined, significant = 3): string {
  if (value === undefined || !Number.isFinite(value)) return '–';
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e5)) {
    return minus(value.toExponential(significant - 1).replace(/\.?0*e\+?/, 'e'));
  }
  return minus(String(Number(value.toPrecision(significant))));
}

/** Hyphens that are minus signs become such: figures of the same width. */
function minus(text: string): string {
  return text.replaceAll('-', '−');
}

/** A range of Hounsfield units. */
export function hu(low: number, high: number): string {
  return `${digits(low, 4)} to ${digits(high, 4)} HU`;
}

/** Where in the body a place is, mm from the scanner's origin: world axes point to the right, the front and the head. */
export function place(mm: readonly [number, number, number]): string {
  const letters = ['RL', 'AP', 'SI'];
  const along = (at: number, axis: number) => `${letters[axis]![at < 0 ? 1 : 0]} ${Math.abs(at).toFixed(1)}`;
  return `${mm.map(along).join(' · ')} mm`;
}

/** A loss: differences in the third decimal matter. */
export function loss(value: number | undefined): string {
  if (value === undefined || !Number.isFinite(value)) return '–';
  return value >= 0.1 && value < 100 ? value.toFixed(4) : digits(value, 4);
}

export function sizes(values: readonly number[], unit = ''): string {
  return values.map((value) => String(Number(value.toPrecision(3)))).join(' × ') + (unit && ` ${unit}`);
}

/** Whole numbers: voxels. */
export function shape(values: readonly number[]): string {
  return values.join(' × ');
}

export function when(time: number): string {
  return new Date(time).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' });
}

export function clock(time: number): string {
  return new Date(time).toLocaleTimeString(undefined, { hour12: false });
}

/** A run's name: those that are a time, which are given in UTC, as the time here; others as they are. */
export function runName(id: string): string {
  const time = /^(\d{4}-\d\d-\d\d)T(\d\d)-(\d\d)-(\d\d)$/.exec(id);
  if (!time) return id;
  const [, day, h, m, s] = time;
  return new Date(`${day}T${h}:${m}:${s}Z`).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'medium' });
}

/** The last part of a path; for a DICOM series, which is named by its folder, the last two. */
export function fileName(path: string): string {
  const names = path.split('/');
  return names.at(-1)!.startsWith('(') ? names.slice(-2).join(' ') : names.at(-1)!;
}

export interface Count {
  readonly done: number;
  /** Undefined where that is not known, as while folders are walked. */
  readonly of?: number;
  /** Once that can be guessed. */
  readonly secondsLeft?: number;
}

/** E.g. `3 of 8, about 40 s left`; `300 files` where it is not known of how many. */
export function countText({ done, of, secondsLeft }: Count): string {
  if (of === undefined) return done > 0 ? plural(done, 'file') : '';
  return `${done} of ${of}${secondsLeft === undefined ? '' : `, about ${duration(secondsLeft)} left`}`;
}

export function percent(share: number): string {
  return `${Math.round(100 * share)} %`;
}

/** An error as a sentence. */
export function sentence(error: unknown): string {
  if (error instanceof HysparkError) return error.message;
  return error instanceof Error ? `${error.message || error.name}` : String(error);
}

export function plural(number: number, one: string, many = `${one}s`): string {
  return `${number} ${number === 1 ? one : many}`;
}

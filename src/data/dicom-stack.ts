/**
 * How the slices of a series lie, from the positions in their headers. dcm2niix stacks what it is given: with phases at
 * the same positions it mixes them, and gaps it fills by interpolation, so both are looked for before it is asked.
 */

import { HysparkError } from '../errors.ts';
import { cross, dot } from './affine.ts';
import type { DicomInfo } from './dicom-header.ts';

/** The images of one kind that make the volume. */
export interface Stack {
  /** Which of the images given belong to it. */
  readonly members: readonly number[];
  /** Of its first and last image, in mm: along the normal of the slices, and straight between their origins (longer with gantry tilt). */
  readonly extent?: readonly [along: number, straight: number];
  /** What was left out, and what is missing; one phrase each. */
  readonly notes: readonly string[];
}

/** Directions that differ by less are one: the cosine of 2.6°. */
const SAME_DIRECTION = 0.999;
/** Slices nearer than this part of the usual step are at the same position. */
const SAME_POSITION = 0.1;
/** So few images at taken positions are strays, or slices repeated because the patient moved; more are another phase or reconstruction. */
const FEW = 3;
const FEW_OF_ALL = 0.05;
/** A step of so many usual ones is a gap, unless one step in ten is: then the slices are uneven. */
const GAP = 1.5;
const UNEVEN = 0.1;
/** A gap that is longer than both of these is not worth interpolating: mm, and usual steps. */
const LARGEST_GAP_MM = 12;
const LARGEST_GAP_STEPS = 3;

/** The largest stack of `infos`. Errors: `set-aside` for several images at each position and for a large gap. */
export function findStack(infos: readonly DicomInfo[]): Stack {
  const groups = groupAlike(infos);
  const framesOf = (group: readonly number[]) => group.reduce((sum, i) => sum + infos[i]!.frames, 0);
  const largest = groups.reduce((best, each) => (framesOf(each) > framesOf(best) ? each : best));
  const notes: string[] = [];
  const others = infos.length - largest.length;
  if (others > 0) notes.push(`${others} of ${infos.length} images left out: another size, direction or kind`);
  const first = infos[largest[0]!]!;
  if (!isPlaced(first) || largest.length === 1) return { members: largest, notes };

  const normal = cross(...first.orientation!);
  const along = largest.map((i) => dot(infos[i]!.position!, normal));
  const order = largest.map((_, i) => i).sort((a, b) => along[a]! - along[b]! || a - b);
  const distinct = withoutRepeats(order, along);
  const repeats = order.length - distinct.length;
  if (repeats > Math.max(FEW, FEW_OF_ALL * order.length)) {
    const where = distinct.length > 1 ? `${distinct.length} positions` : 'the same position';
    throw aside(`${order.length} images at ${where}: several phases or reconstructions`, {
      need: 'one volume',
      advice: 'Export each as a series of its own',
    });
  }
  if (repeats > 0) notes.push(`${repeats} of ${infos.length} images left out: another at the same position`);
  notes.push(...gaps(distinct.map((i) => along[i]!)));
  const [low, high] = [distinct[0]!, distinct.at(-1)!];
  const [a, b] = [infos[largest[low]!]!.position!, infos[largest[high]!]!.position!];
  return {
    members: distinct.map((i) => largest[i]!).sort((p, q) => p - q),
    extent: [along[high]! - along[low]!, Math.hypot(b[0] - a[0], b[1] - a[1], b[2] - a[2])],
    notes,
  };
}

/** Whether a volume of `slices` slices, `spacing` mm apart, is as long as its stack; a slice at the end may be lost. */
export function fits({ extent }: Stack, slices: number, spacing: number): boolean {
  if (!extent) return true;
  const length = (slices - 1) * spacing;
  const slack = 1.5 * spacing + 0.02 * extent[1];
  return length > extent[0] - slack && length < extent[1] + slack;
}

/** Indices of images of one size, spacing, type and direction; those without a position, or with many frames, without the direction. */
function groupAlike(infos: readonly DicomInfo[]): number[][] {
  const groups: number[][] = [];
  infos.forEach((info, i) => {
    const group = groups.find(([leader]) => areAlike(infos[leader!]!, info));
    if (group) group.push(i);
    else groups.push([i]);
  });
  return groups;
}

function areAlike(a: DicomInfo, b: DicomInfo): boolean {
  if (a.rows !== b.rows || a.columns !== b.columns || isPlaced(a) !== isPlaced(b)) return false;
  if (a.imageType !== b.imageType || !haveSameSpacing(a, b)) return false;
  if (!isPlaced(a)) return true;
  return a.orientation!.every((axis, i) => dot(axis, b.orientation![i]!) > SAME_DIRECTION);
}

/** Of another field of view dcm2niix would take the first one's spacing. */
function haveSameSpacing({ pixelSpacing: a }: DicomInfo, { pixelSpacing: b }: DicomInfo): boolean {
  if (!a || !b) return a === b;
  return a.every((mm, axis) => Math.abs(mm - b[axis]!) <= 0.01 * mm);
}

function isPlaced({ frames, position, orientation }: DicomInfo): boolean {
  return frames === 1 && position !== undefined && orientation !== undefined;
}

/** Of images in the order of `along`, the first of each position. */
function withoutRepeats(order: readonly number[], along: readonly number[]): number[] {
  const steps = differences(order.map((i) => along[i]!));
  // With phases most steps are nothing or a jitter of the table; the upper quarter of the others is a slice's.
  const near = Math.max(
    0.01,
    SAME_POSITION *
      quantile(
        steps.filter((step) => step > 0.01),
        0.75,
      ),
  );
  return order.filter((_, at) => at === 0 || steps[at - 1]! > near);
}

/** What is to be said about steps between ascending positions that are too long. */
function gaps(positions: readonly number[]): string[] {
  const steps = differences(positions);
  const usual = quantile(steps, 0.5);
  const longest = Math.max(...steps);
  if (longest > Math.max(LARGEST_GAP_MM, LARGEST_GAP_STEPS * quantile(steps, 0.75))) {
    throw aside(`a gap of ${longest.toFixed(1)} mm between slices that are ${usual.toFixed(1)} mm apart`);
  }
  const long = steps.filter((step) => step > GAP * usual);
  if (long.length === 0 || long.length > UNEVEN * steps.length) return [];
  const missing = long.reduce((sum, step) => sum + Math.round(step / usual) - 1, 0);
  return [
    `${missing} slice${missing === 1 ? '' : 's'} missing and interpolated, a gap of ${longest.toFixed(1)} mm at most`,
  ];
}

function differences(ascending: readonly number[]): number[] {
  return ascending.slice(1).map((value, i) => value - ascending[i]!);
}

function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(q * (sorted.length - 1))] ?? 0;
}

function aside(got: string, more: { need?: string; advice?: string } = {}): HysparkError {
  return new HysparkError('set-aside', { doing: 'stacking a DICOM series', got, ...more });
}

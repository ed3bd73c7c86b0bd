/** A DICOM series to a scan, by dcm2niix. */

import { HysparkError } from '../errors.ts';
import { voxelSize } from './affine.ts';
import type { InputFile } from './bytes.ts';
import { type DicomInfo, dicomDefect, parseDicom } from './dicom-header.ts';
import { findStack, fits } from './dicom-stack.ts';
import { readNifti } from './nifti.ts';
import type { Scan } from './scan.ts';

/** A file in memory, under a name that says nothing of the patient. */
export interface NamedBytes {
  readonly name: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** Runs dcm2niix on the files of one series; returns the NIfTI files it made (none when it failed). */
export type DicomConverter = (files: readonly NamedBytes[]) => Promise<readonly NamedBytes[]>;

/** dcm2niix options: no JSON, no gzip, names from the series number. */
export const DCM2NIIX_ARGUMENTS = ['-b', 'n', '-z', 'n', '-f', '%s'] as const;

/** A conversion that takes longer has lost its way. */
export const DICOM_DEADLINE_MS = 300_000;

/** dcm2niix has the memory of 32-bit WebAssembly for the files and for what it makes of them. */
const LARGEST_SERIES_BYTES = 1.5 * 2 ** 30;

const READING = 'reading a DICOM series';
/** Of files that dcm2niix cannot read so many are looked for, for so long. */
const MOST_BAD = 3;
const SEARCH_MS = 60_000;

/** A file that nothing speaks against. */
interface Image {
  readonly blob: Blob;
  readonly info: DicomInfo;
}

/**
 * The scan in the files of one series. Files that cannot be used are left out and noted.
 * Errors: `set-aside`, `bad-file`, `unsupported`, each with its reason.
 */
export async function readDicomSeries(files: readonly InputFile[], convert: DicomConverter): Promise<Scan> {
  const { images, notes } = await checkFiles(files);
  let stack = stackOf(images);
  let made = await convertImages(stack.images, convert);
  if (made.length === 0) {
    const bad = await findUnreadable(stack.images, convert);
    if (bad.length > 0) {
      notes.push(
        `${bad.length} of ${files.length} files left out: dcm2niix cannot read ${bad.length > 1 ? 'them' : 'it'}`,
      );
      stack = stackOf(images.filter((image) => !bad.includes(image)));
      made = await convertImages(stack.images, convert);
    }
  }
  if (made.length === 0) throw unconverted(`${stack.images.length} DICOM images that dcm2niix could not convert`);
  const chosen = chooseVolume(made);
  const scan = await readNifti({ path: chosen.name, blob: new Blob([chosen.bytes]) });
  const [slices, spacing] = [scan.grid.shape[2], voxelSize(scan.grid.affine)[2]];
  if (!fits(stack, slices, spacing)) {
    const extent = stack.extent![0].toFixed(0);
    throw unconverted(`${slices} slices ${spacing.toFixed(2)} mm apart, made of images that span ${extent} mm`);
  }
  notes.push(...stack.notes);
  if (made.length > 1) notes.push(`${made.length} volumes came of the series: ${describeChoice(chosen.name)}`);
  const tilt = Math.max(...stack.images.map(({ info }) => Math.abs(info.tilt)));
  if (tilt > 0.5) notes.push(`gantry tilt of ${tilt}°`);
  return { ...scan, notes: [...notes, ...scan.notes] };
}

function stackOf(images: readonly Image[]) {
  const stack = findStack(images.map(({ info }) => info));
  return { ...stack, images: stack.members.map((i) => images[i]!) };
}

function unconverted(got: string): HysparkError {
  const advice = 'Convert the series to NIfTI with another program';
  return new HysparkError('bad-file', { doing: READING, got, advice });
}

/** The NIfTI files that dcm2niix makes of `images`. They are read for it, as it takes their bytes away. */
async function convertImages(images: readonly Image[], convert: DicomConverter): Promise<readonly NamedBytes[]> {
  const files: NamedBytes[] = [];
  for (const { blob } of images) {
    files.push({ name: `${files.length}.dcm`, bytes: new Uint8Array(await blob.arrayBuffer()) });
  }
  return (await convert(files)).filter(({ name }) => name.endsWith('.nii'));
}

/** The images on which dcm2niix fails, found by halves; none when there are many, or when it takes long. */
async function findUnreadable(images: readonly Image[], convert: DicomConverter): Promise<readonly Image[]> {
  const deadline = Date.now() + SEARCH_MS;
  const bad: Image[] = [];
  const isHopeless = () => bad.length > MOST_BAD || Date.now() > deadline;
  const search = async (part: readonly Image[], isKnown: boolean): Promise<void> => {
    if (isHopeless() || (!isKnown && (await convertImages(part, convert)).length > 0)) return;
    if (part.length === 1) bad.push(part[0]!);
    else {
      const half = Math.ceil(part.length / 2);
      await search(part.slice(0, half), false);
      await search(part.slice(half), false);
    }
  };
  await search(images, true);
  return isHopeless() || bad.length === images.length ? [] : bad;
}

/** Looks at every file and leaves out the bad ones, those of another kind of image, and doubles. */
async function checkFiles(files: readonly InputFile[]) {
  const total = files.reduce((sum, { blob }) => sum + blob.size, 0);
  if (total > LARGEST_SERIES_BYTES) {
    throw new HysparkError('unsupported', {
      doing: READING,
      got: `a series of ${(total / 2 ** 30).toFixed(1)} GiB`,
      need: 'at most 1.5 GiB',
      advice: 'Convert it to NIfTI with another program',
    });
  }
  const images: Image[] = [];
  const defects = new Map<string, number>();
  const seen = new Set<string>();
  const leaveOut = (reason: string) => defects.set(reason, (defects.get(reason) ?? 0) + 1);
  for (const file of files) {
    const bytes = new Uint8Array(await file.blob.arrayBuffer());
    const defect = dicomDefect(bytes);
    if (defect !== undefined) {
      leaveOut(defect);
      continue;
    }
    const info = parseDicom(bytes)!;
    if (info.modality !== '' && info.modality !== 'CT') {
      throw new HysparkError('set-aside', { doing: READING, got: `modality ${info.modality}`, need: 'CT' });
    }
    // With its position: careless anonymisation gives all slices one name.
    const name = `${info.sopInstanceUid} ${info.position}`;
    if (info.sopInstanceUid !== '' && seen.has(name)) {
      leaveOut('the same image twice');
      continue;
    }
    seen.add(name);
    images.push({ blob: file.blob, info });
  }
  const reasons = [...defects].map(([reason, count]) => `${count} of ${files.length} files left out: ${reason}`);
  if (images.length === 0) {
    throw new HysparkError('bad-file', { doing: READING, got: reasons.join('; ') });
  }
  return { images, notes: reasons };
}

/** What dcm2niix adds to a volume's name for a corrected one beside it: to even slices, for tilt; numbered. */
const CORRECTION = /_(Tilt|Eq)(_\d+)?/g;

/**
 * Of several volumes of one series: of the largest as scanned, the one corrected for tilt and resampled to even slices,
 * as far as there is one.
 */
function chooseVolume(made: readonly NamedBytes[]): NamedBytes {
  const original = ({ name }: NamedBytes) => name.replace(CORRECTION, '');
  const corrections = ({ name }: NamedBytes) => name.match(CORRECTION)?.length ?? 0;
  const best = (volumes: readonly NamedBytes[], rank: (volume: NamedBytes) => number) =>
    volumes.reduce((a, b) => (rank(b) > rank(a) ? b : a));
  const least = Math.min(...made.map(corrections));
  const largest = best(
    made.filter((volume) => corrections(volume) === least),
    ({ bytes }) => bytes.length,
  );
  return best(
    made.filter((volume) => original(volume) === original(largest)),
    (volume) => corrections(volume) + (volume.name.includes('_Eq') ? 0.5 : 0),
  );
}

function describeChoice(name: string): string {
  const corrections = [];
  if (name.includes('_Tilt')) corrections.push('corrected for gantry tilt');
  if (name.includes('_Eq')) corrections.push('resampled to even slices');
  return corrections.length > 0 ? `the one ${corrections.join(' and ')} is used` : 'the largest is used';
}

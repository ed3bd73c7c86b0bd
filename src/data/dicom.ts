/** A DICOM series to a scan, by dcm2niix. */

import { HysparkError } from '../errors.ts';
import type { InputFile } from './bytes.ts';
import { type DicomInfo, dicomDefect, parseDicom } from './dicom-header.ts';
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

/**
 * The scan in the files of one series. Files that cannot be used are left out and noted.
 * Errors: `set-aside`, `bad-file`, `unsupported`, each with its reason.
 */
export async function readDicomSeries(files: readonly InputFile[], convert: DicomConverter): Promise<Scan> {
  const { good, infos, notes } = await checkFiles(files);
  const made = (await convert(good)).filter(({ name }) => name.endsWith('.nii'));
  if (made.length === 0) {
    throw new HysparkError('bad-file', {
      doing: READING,
      got: `${good.length} DICOM files that dcm2niix could not convert`,
      advice: 'Convert the series to NIfTI with another program',
    });
  }
  const chosen = chooseVolume(made);
  const scan = await readNifti({ path: chosen.name, blob: new Blob([chosen.bytes]) });
  if (made.length > 1) notes.push(`${made.length} volumes came of the series: ${describeChoice(chosen.name)}`);
  const tilt = Math.max(...infos.map((info) => Math.abs(info.tilt)));
  if (tilt > 0.5) notes.push(`gantry tilt of ${tilt}°`);
  return { ...scan, notes: [...notes, ...scan.notes] };
}

/** Reads every file and leaves out the bad ones, those of another kind of image, and doubles. */
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
  const good: NamedBytes[] = [];
  const infos: DicomInfo[] = [];
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
    if (info.sopInstanceUid !== '' && seen.has(info.sopInstanceUid)) {
      leaveOut('the same image twice');
      continue;
    }
    seen.add(info.sopInstanceUid);
    infos.push(info);
    good.push({ name: `${good.length}.dcm`, bytes });
  }
  const reasons = [...defects].map(([reason, count]) => `${count} of ${files.length} files left out: ${reason}`);
  if (good.length === 0) {
    throw new HysparkError('bad-file', { doing: READING, got: reasons.join('; ') });
  }
  return { good, infos, notes: reasons };
}

/**
 * Of several volumes of one series: the one resampled to even slices and corrected for tilt (dcm2niix marks them
 * `_Eq` and `_Tilt`), else the largest.
 */
function chooseVolume(made: readonly NamedBytes[]): NamedBytes {
  const rank = ({ name, bytes }: NamedBytes) =>
    (name.includes('_Eq') ? 2e15 : 0) + (name.includes('_Tilt') ? 1e15 : 0) + bytes.length;
  return made.reduce((best, each) => (rank(each) > rank(best) ? each : best));
}

function describeChoice(name: string): string {
  const corrections = [];
  if (name.includes('_Tilt')) corrections.push('corrected for gantry tilt');
  if (name.includes('_Eq')) corrections.push('resampled to even slices');
  return corrections.length > 0 ? `the one ${corrections.join(' and ')} is used` : 'the largest is used';
}

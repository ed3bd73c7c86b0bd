/** Scans on disk, before they are read: which files make one, and reading them whatever their kind. */

import { HysparkError } from '../errors.ts';
import { type Audit, auditScan } from './audit.ts';
import type { InputFile } from './bytes.ts';
import { type DicomConverter, readDicomSeries } from './dicom.ts';
import { contentHash } from './hash.ts';
import { WINDOW_HU } from './intensity.ts';
import { notCtReason } from './measure.ts';
import { readNifti } from './nifti.ts';
import type { Scan } from './scan.ts';

/** A file that was found but not opened. */
export interface FoundFile {
  /** Path within what the person gave, '/' between folders. */
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  readonly handle: FileHandle;
  /** Why what lies at `path` is only named and not looked at: a sentence. */
  readonly problem?: string;
}

/** A File in browsers; in Node a path, as a Blob of a file on disk cannot be sent to a thread. */
export type FileHandle = Blob | string;

/** What differs between browsers and Node. */
export interface Platform {
  open(handle: FileHandle): Promise<Blob>;
  readonly convertDicom: DicomConverter;
}

export type ScanKind = 'NIfTI' | 'NIfTI pair' | 'DICOM';

/** The files of one scan: one, a header and its image, or the slices of a series. */
export interface ScanSource {
  readonly kind: ScanKind;
  /** What a person would call it: a file's path, or the folder of a series. */
  readonly path: string;
  readonly files: readonly FoundFile[];
  /** The label map that belongs to it, where the folder's layout says so. */
  readonly label?: FoundFile;
}

async function openFiles(source: ScanSource, platform: Platform): Promise<InputFile[]> {
  const open = async (file: FoundFile) => ({ path: file.path, blob: await platform.open(file.handle) });
  return Promise.all(source.files.map(open));
}

/** The scan of a source. Errors: `bad-file`, `unsupported`, `set-aside`, each with its reason. */
export async function readScan(source: ScanSource, platform: Platform): Promise<Scan> {
  const { kind } = source;
  try {
    const files = await openFiles(source, platform);
    if (kind === 'DICOM') return await readDicomSeries(files, platform.convertDicom);
    return await readNifti(files[0]!, files[1]);
  } catch (error) {
    if (error instanceof HysparkError) throw error;
    // Out of memory, or a file that vanished or may not be read: the scan's fault as far as the others care.
    const cause = error instanceof Error ? error.message : String(error);
    throw new HysparkError('bad-file', { doing: `reading ${kind}`, got: cause, cause: error });
  }
}

/** A scan and its audit, or an error `set-aside` when it is no CT to train on. */
export async function readCt(source: ScanSource, platform: Platform): Promise<{ scan: Scan; audit: Audit }> {
  const scan = await readScan(source, platform);
  const audit = auditScan(scan);
  const reason = notCtReason(scan, audit.hu, WINDOW_HU[0]);
  if (reason !== undefined) throw new HysparkError('set-aside', { doing: 'looking for CT', got: reason });
  return { scan, audit };
}

/** An error about a scan as a sentence beside the scan's name: without what was being done. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof HysparkError) || error.parts.got === undefined) {
    return error instanceof Error ? error.message : String(error);
  }
  const { got, need, advice } = error.parts;
  const sentence = `${got[0]!.toUpperCase()}${got.slice(1)}${need ? `; needed: ${need}` : ''}.`;
  return advice ? `${sentence} ${advice}.` : sentence;
}

/** What the audit of one source says. */
export type AuditResult =
  | { readonly usable: true; readonly hash: string; readonly audit: Audit }
  | { readonly usable: false; readonly hash: string; readonly reason: string };

/** Audits one source. Never throws for what is in its files. */
export async function auditSource(source: ScanSource, platform: Platform): Promise<AuditResult> {
  let hash = '';
  try {
    hash = await hashSource(source, platform);
    return { usable: true, hash, audit: (await readCt(source, platform)).audit };
  } catch (error) {
    return { usable: false, hash, reason: reasonOf(error) };
  }
}

/** `path`, with a number behind it where `taken` has it already; it is taken then. */
export function distinctPath(path: string, taken: Set<string>): string {
  let distinct = path;
  for (let n = 2; taken.has(distinct); n++) distinct = `${path} (${n})`;
  taken.add(distinct);
  return distinct;
}

/** The content hash of a source: its name everywhere outside the tab. */
export async function hashSource(source: ScanSource, platform: Platform): Promise<string> {
  const files = await openFiles(source, platform);
  return contentHash(files.map((file) => file.blob));
}

/** `work` on every item, `limit` at a time; rejects with the reason of `signal` instead of beginning another. */
export async function inParallel<T>(
  items: readonly T[],
  limit: number,
  work: (item: T) => Promise<void>,
  signal?: AbortSignal,
): Promise<void> {
  let next = 0;
  const run = async () => {
    while (next < items.length) {
      signal?.throwIfAborted();
      await work(items[next++]!);
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, run));
}

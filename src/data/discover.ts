/**
 * From a heap of files to scans: NIfTI files and pairs, DICOM series by their unique id, and the folders of nnU-Net and
 * the Medical Segmentation Decathlon. What is no scan is set aside with a reason, or ignored and counted.
 */

import { HysparkError } from '../errors.ts';
import { type DatasetList, listedImages, parseDatasetJson } from './dataset-json.ts';
import { type DicomInfo, looksLikeDicom, parseDicom } from './dicom-header.ts';
import { distinctPath, type FileHandle, type FoundFile, inParallel, type ScanSource } from './source.ts';

export interface SetAside {
  readonly path: string;
  /** A sentence. */
  readonly reason: string;
}

export interface Discovery {
  readonly scans: readonly ScanSource[];
  readonly setAside: readonly SetAside[];
  /** Files that have nothing to do with scans. */
  readonly ignored: number;
}

/** As much of a DICOM file as holds its series id, save in odd cases. */
const DICOM_HEAD_BYTES = 128 << 10;
/** Neither a list of scans nor the header of a DICOM file is larger. */
const LARGEST_TEXT_BYTES = 64 << 20;
/** Files looked into at the same time. */
const AT_ONCE = 16;
/** Endings that are surely neither NIfTI nor DICOM: not opened. */
const UNRELATED =
  /\.(jpe?g|png|gif|bmp|tiff?|svg|webp|txt|md|csv|tsv|html?|xml|ya?ml|pdf|docx?|xlsx?|py|[cm]?[jt]s|log|pth?|npy|npz|bvec|bval|mp4|avi|mov|mp3|wav)$/i;
const ARCHIVE = /\.(zip|tar|tgz|tar\.gz|7z|rar|bz2|xz)$/i;
const COMPRESSED_DICOM = /\.(dcm|ima)\.gz$/i;
const OTHER_VOLUMES = /\.(nrrd|nhdr|mha|mhd|mgz|mgh|mnc)$/i;

const UNREADABLE = 'It cannot be read: another program may hold it, or the rights to read it are missing.';

type Open = (handle: FileHandle) => Promise<Blob>;

/** Sorts `files` into scans. `progress` is told how many files have been looked at; rejects with the reason of `signal`. */
export async function discover(
  files: readonly FoundFile[],
  open: Open,
  progress?: (done: number) => void,
  signal?: AbortSignal,
): Promise<Discovery> {
  const setAside: SetAside[] = [];
  const scans: ScanSource[] = [];
  const dicom: FoundFile[] = [];
  let ignored = 0;
  const byPath = filesByPath(files);
  const lists = await readLists(files, open, setAside);
  const isImage = new Set<string>();
  const labels = new Map<string, FoundFile>(); // of a scan, by the scan's path
  const isLabel = new Set<string>();
  for (const list of lists) {
    for (const [image, label] of listedImages(list, byPath)) {
      isImage.add(image);
      if (!label) continue;
      labels.set(image, label);
      isLabel.add(label.path);
    }
  }

  let done = 0;
  await inParallel(
    files,
    AT_ONCE,
    async (file) => {
      const name = baseName(file.path);
      if (file.problem !== undefined) setAside.push({ path: file.path, reason: file.problem });
      else if (isHidden(name) || UNRELATED.test(name)) ignored++;
      else if (/\.json$/i.test(name)) ignored++;
      else if (ARCHIVE.test(name) && !/\.nii\.gz$/i.test(name)) {
        setAside.push({ path: file.path, reason: 'An archive: unpack it first.' });
      } else if (COMPRESSED_DICOM.test(name)) {
        setAside.push({ path: file.path, reason: 'A compressed DICOM file: unpack it first.' });
      } else if (OTHER_VOLUMES.test(name)) {
        setAside.push({ path: file.path, reason: 'A volume in another format: convert it to NIfTI.' });
      } else if (/\.nii(\.gz)?$/i.test(name)) {
        const label = isLabel.has(file.path) || inLabelFolder(file.path);
        const channel = isImage.has(file.path) ? 0 : nnunetChannel(file.path, byPath);
        if (label) ignored++;
        else if (channel > 0)
          setAside.push({ path: file.path, reason: `Channel ${channel} of a scan: only the first is used.` });
        else
          scans.push({
            kind: 'NIfTI',
            path: file.path,
            files: [file],
            label: labels.get(file.path) ?? nnunetLabel(file.path, byPath),
          });
      } else if (/\.hdr(\.gz)?$/i.test(name)) {
        const image = pairedWith(file.path, byPath);
        if (image) scans.push({ kind: 'NIfTI pair', path: file.path, files: [file, image] });
        else
          setAside.push({ path: file.path, reason: 'A header without its .img file, or with several of that name.' });
      } else if (/\.img(\.gz)?$/i.test(name)) {
        if (!headerOf(file.path, byPath))
          setAside.push({ path: file.path, reason: 'An image without its .hdr file, or with several of that name.' });
      } else {
        const isDicom = await startsAsDicom(file, open).catch(() => undefined);
        if (isDicom === undefined) setAside.push({ path: file.path, reason: UNREADABLE });
        else if (isDicom) dicom.push(file);
        else ignored++;
      }
      progress?.(++done);
    },
    signal,
  );
  scans.push(...(await groupSeries(dicom, open, setAside, signal)));
  const order = (a: { path: string }, b: { path: string }) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0);
  const taken = new Set<string>();
  const named = scans.sort(order).map((scan) => ({ ...scan, path: distinctPath(scan.path, taken) }));
  return { scans: named, setAside: setAside.sort(order), ignored };
}

/** Files by their paths, without those whose path others have too: which belongs to which scan cannot be told. */
function filesByPath(files: readonly FoundFile[]): ReadonlyMap<string, FoundFile> {
  const byPath = new Map<string, FoundFile>();
  const repeated = new Set<string>();
  for (const file of files) {
    if (byPath.has(file.path)) repeated.add(file.path);
    byPath.set(file.path, file);
  }
  for (const path of repeated) byPath.delete(path);
  return byPath;
}

async function readLists(files: readonly FoundFile[], open: Open, setAside: SetAside[]): Promise<DatasetList[]> {
  const lists: DatasetList[] = [];
  for (const file of files) {
    if (baseName(file.path).toLowerCase() !== 'dataset.json') continue;
    if (file.size > LARGEST_TEXT_BYTES) {
      setAside.push({ path: file.path, reason: 'Too large for a list of scans.' });
      continue;
    }
    try {
      lists.push(parseDatasetJson(file.path, await (await open(file.handle)).text()));
    } catch (error) {
      setAside.push({ path: file.path, reason: error instanceof HysparkError ? error.message : UNREADABLE });
    }
  }
  return lists;
}

async function startsAsDicom(file: FoundFile, open: Open): Promise<boolean> {
  if (file.size < 140) return false;
  const blob = await open(file.handle);
  return looksLikeDicom(new Uint8Array(await blob.slice(0, 140).arrayBuffer()));
}

/** One source for each series, its files in the order of their paths. */
async function groupSeries(
  files: readonly FoundFile[],
  open: Open,
  setAside: SetAside[],
  signal?: AbortSignal,
): Promise<ScanSource[]> {
  const series = new Map<string, FoundFile[]>();
  await inParallel(
    files,
    AT_ONCE,
    async (file) => {
      const info = await readDicomHead(file, open).catch(() => null);
      if (info === null) {
        setAside.push({ path: file.path, reason: UNREADABLE });
        return;
      }
      if (!info || (info.seriesUid === '' && info.rows === 0 && !info.transferSyntax.endsWith('.1.99'))) {
        setAside.push({ path: file.path, reason: 'DICOM without an image (a directory, a report, or cut short).' });
        return;
      }
      // Without a series id, and in a deflated file, where it cannot be seen, the folder stands for the series.
      const key = info.seriesUid || `folder ${folderOf(file.path)} ${info.transferSyntax}`;
      series.set(key, [...(series.get(key) ?? []), file]);
    },
    signal,
  );
  return [...series.values()].map((members): ScanSource => {
    const sorted = members.sort((a, b) => (a.path < b.path ? -1 : 1));
    const path = sorted.length === 1 ? sorted[0]!.path : `${folderOf(sorted[0]!.path)}/(${sorted.length} DICOM files)`;
    return { kind: 'DICOM', path, files: sorted };
  });
}

async function readDicomHead(file: FoundFile, open: Open): Promise<DicomInfo | undefined> {
  const blob = await open(file.handle);
  const info = parseDicom(new Uint8Array(await blob.slice(0, DICOM_HEAD_BYTES).arrayBuffer()));
  const isFurther = info?.seriesUid === '' && file.size > DICOM_HEAD_BYTES && file.size < LARGEST_TEXT_BYTES;
  return isFurther ? parseDicom(new Uint8Array(await blob.arrayBuffer())) : info;
}

/** The .img file beside a .hdr, gzipped or not. */
function pairedWith(header: string, byPath: ReadonlyMap<string, FoundFile>): FoundFile | undefined {
  const stem = header.replace(/\.hdr(\.gz)?$/i, '');
  return ['.img', '.img.gz', '.IMG', '.IMG.GZ'].map((end) => byPath.get(stem + end)).find((file) => file);
}

function headerOf(image: string, byPath: ReadonlyMap<string, FoundFile>): boolean {
  const stem = image.replace(/\.img(\.gz)?$/i, '');
  return ['.hdr', '.hdr.gz', '.HDR', '.HDR.GZ'].some((end) => byPath.has(stem + end));
}

/**
 * The channel of `imagesTr/case_0001.nii.gz` where `case_0000` is there too; 0 elsewhere. Collections that number their scans so
 * (AMOS, WORD) have no scan 0.
 */
function nnunetChannel(path: string, byPath: ReadonlyMap<string, FoundFile>): number {
  const parts = /^((?:.*\/)?images(?:Tr|Ts|Val)\/[^/]*_)(\d{4})(\.nii(?:\.gz)?)$/.exec(path);
  return parts && byPath.has(`${parts[1]}0000${parts[3]}`) ? Number(parts[2]) : 0;
}

/** `labelsTr/case.nii.gz` for `imagesTr/case_0000.nii.gz` or `imagesTr/case.nii.gz`. */
function nnunetLabel(path: string, byPath: ReadonlyMap<string, FoundFile>): FoundFile | undefined {
  const parts = /^(.*?)images(Tr|Ts|Val)\/([^/]+?)(?:_0000)?(\.nii(?:\.gz)?)$/.exec(path);
  return parts ? byPath.get(`${parts[1]}labels${parts[2]}/${parts[3]}${parts[4]}`) : undefined;
}

function inLabelFolder(path: string): boolean {
  return /(?:^|\/)labels(?:Tr|Ts|Val)\/[^/]+$/.test(path);
}

/** `.DS_Store`, and `._scan.nii.gz`, the shadows that macOS leaves on other file systems. */
function isHidden(name: string): boolean {
  return name.startsWith('.');
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

function folderOf(path: string): string {
  return path.includes('/') ? path.slice(0, path.lastIndexOf('/')) : '.';
}

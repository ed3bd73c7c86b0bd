/**
 * As much of a DICOM file as tells which series it belongs to and whether its pixels are all there. The conversion
 * itself is dcm2niix's; one bad file would make it drop the whole series, so each file is looked at first.
 */

import { scaled, type Triple } from './affine.ts';

/** What is known of one DICOM file. Strings are trimmed; absent elements are empty or 0. */
export interface DicomInfo {
  readonly transferSyntax: string;
  readonly modality: string;
  readonly seriesUid: string;
  readonly sopInstanceUid: string;
  readonly rows: number;
  readonly columns: number;
  readonly frames: number;
  readonly bitsAllocated: number;
  readonly samplesPerPixel: number;
  /** Gantry tilt in degrees, (0018,1120). */
  readonly tilt: number;
  /** Centre of the first pixel in mm, LPS, (0020,0032). */
  readonly position?: Triple;
  /** Unit vectors along a row and along a column, (0020,0037). */
  readonly orientation?: readonly [Triple, Triple];
  /** Millimetres between rows and between columns, (0028,0030). */
  readonly pixelSpacing?: readonly number[];
  /** The first three values of (0008,0008), as `ORIGINAL\PRIMARY\AXIAL`; makers add others of no consequence. */
  readonly imageType: string;
  /** Where the pixels are; absent when there are none in the bytes given. */
  readonly pixels?: PixelData;
}

export interface PixelData {
  readonly offset: number;
  /** Bytes stated; undefined where the pixels are encapsulated (compressed). */
  readonly length?: number;
  readonly littleEndian: boolean;
}

const IMPLICIT_LITTLE = '1.2.840.10008.1.2';
const EXPLICIT_LITTLE = '1.2.840.10008.1.2.1';
const EXPLICIT_BIG = '1.2.840.10008.1.2.2';
const RLE = '1.2.840.10008.1.2.5';
const DEFLATED = '1.2.840.10008.1.2.1.99';
/** What dcm2niix reads; the JPEG of process 2 and 4 only with 8 bits. */
const READABLE = new Set(
  [IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG, RLE].concat(
    [50, 51, 57, 70, 80, 81, 90, 91].map((n) => `1.2.840.10008.1.2.4.${n}`),
  ),
);
const JPEG_PROCESS_2_4 = '1.2.840.10008.1.2.4.51';

const UNDEFINED_LENGTH = 0xffffffff;
const ITEM = 0xfffee000;
const ITEM_END = 0xfffee00d;
const SEQUENCE_END = 0xfffee0dd;
const PIXEL_DATA = 0x7fe00010;
/** Value representations with a 32-bit length after two reserved bytes. */
const LONG_VR = new Set(['OB', 'OD', 'OF', 'OL', 'OV', 'OW', 'SQ', 'SV', 'UC', 'UN', 'UR', 'UT', 'UV']);
/** Nested sequences deeper than this are taken for damage. */
const DEEPEST = 16;

/** Whether a file's first 140 bytes are those of DICOM: "DICM" at 128, or a bare data set that starts at group 8. */
export function looksLikeDicom(start: Uint8Array): boolean {
  if (ascii(start, 128, 4) === 'DICM') return true;
  const view = new DataView(start.buffer, start.byteOffset, start.length);
  if (start.length < 8 || view.getUint16(0, true) !== 8 || view.getUint16(2, true) > 0x18) return false;
  return /^[A-Z]{2}$/.test(ascii(start, 4, 2)) || view.getUint32(4, true) < 256;
}

/** Reads elements until the pixels or the end of `bytes`; undefined when this is not DICOM. Never throws. */
export function parseDicom(bytes: Uint8Array): DicomInfo | undefined {
  if (!looksLikeDicom(bytes)) return undefined;
  const cursor: Cursor = {
    bytes,
    view: new DataView(bytes.buffer, bytes.byteOffset, bytes.length),
    at: 0,
    explicit: true,
    littleEndian: true,
  };
  const values = new Map<number, string | number>();
  if (ascii(bytes, 128, 4) === 'DICM') {
    cursor.at = 132;
    readElements(cursor, values, (tag) => tag >>> 16 === 2);
    const syntax = String(values.get(0x00020010) ?? IMPLICIT_LITTLE);
    cursor.explicit = syntax !== IMPLICIT_LITTLE;
    cursor.littleEndian = syntax !== EXPLICIT_BIG;
  } else {
    cursor.explicit = /^[A-Z]{2}$/.test(ascii(bytes, 4, 2));
    values.set(0x00020010, cursor.explicit ? EXPLICIT_LITTLE : IMPLICIT_LITTLE);
  }
  const text = (tag: number) => String(values.get(tag) ?? '');
  const pixels = text(0x00020010) === DEFLATED ? undefined : readElements(cursor, values, () => true);
  const number = (tag: number) => Number(values.get(tag) ?? 0) || 0;
  return {
    // Shown to people, so nothing but what these may hold.
    transferSyntax: text(0x00020010).replace(/[^\d.]/g, ''),
    modality: text(0x00080060).replace(/[^A-Z]/g, ''),
    seriesUid: text(0x0020000e),
    sopInstanceUid: text(0x00080018),
    rows: number(0x00280010),
    columns: number(0x00280011),
    frames: number(0x00280008) || 1,
    bitsAllocated: number(0x00280100),
    samplesPerPixel: number(0x00280002) || 1,
    tilt: number(0x00181120),
    position: numbers(text(0x00200032), 3) as Triple | undefined,
    orientation: axes(text(0x00200037)),
    pixelSpacing: numbers(text(0x00280030), 2),
    imageType: text(0x00080008).split('\\').slice(0, 3).join('\\'),
    pixels,
  };
}

/** The `count` numbers of a text, separated by backslashes; undefined when there are others. */
function numbers(text: string, count: number): readonly number[] | undefined {
  const values = text.split('\\').map((part) => (part.trim() === '' ? Number.NaN : Number(part)));
  return values.length === count && values.every(Number.isFinite) ? values : undefined;
}

function axes(text: string): readonly [Triple, Triple] | undefined {
  const cosines = numbers(text, 6);
  if (!cosines) return undefined;
  const [row, column] = [cosines.slice(0, 3), cosines.slice(3)] as unknown as [Triple, Triple];
  // Some archives round to two decimals.
  const isUnit = (axis: Triple) => Math.abs(Math.hypot(...axis) - 1) < 0.02;
  const unit = (axis: Triple) => scaled(axis, 1 / Math.hypot(...axis));
  return isUnit(row) && isUnit(column) ? [unit(row), unit(column)] : undefined;
}

/** Why dcm2niix could not use the file, in a phrase; undefined when nothing speaks against it. `bytes`: the whole file. */
export function dicomDefect(bytes: Uint8Array): string | undefined {
  const info = parseDicom(bytes);
  if (info === undefined) return 'not a DICOM file';
  const syntax = info.transferSyntax;
  if (syntax === DEFLATED) return 'deflated transfer syntax, which is not supported';
  if (!READABLE.has(syntax) || (syntax === JPEG_PROCESS_2_4 && info.bitsAllocated > 8)) {
    return `transfer syntax ${syntax || '(none)'}, which is not supported`;
  }
  if (!info.pixels) return 'no pixels (a report, or the file is cut short)';
  if (info.rows === 0 || info.columns === 0 || info.bitsAllocated === 0) return 'no image size in the header';
  if (info.samplesPerPixel !== 1) return 'a colour image';
  const { offset, length, littleEndian } = info.pixels;
  if (length === undefined) return encapsulatedDefect(bytes, offset, info);
  const needed = (info.rows * info.columns * info.frames * info.bitsAllocated) / 8;
  if (length < needed) return 'fewer pixels than rows × columns';
  if (offset + needed > bytes.length) return 'cut short within the pixels';
  return littleEndian || info.bitsAllocated <= 16 ? undefined : 'big-endian pixels of more than 16 bits';
}

interface Cursor {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  at: number;
  explicit: boolean;
  littleEndian: boolean;
}

/** Elements worth keeping, and how their value is written. */
const WANTED = new Map<number, 'text' | 'uint16'>([
  [0x00020010, 'text'],
  [0x00080008, 'text'],
  [0x00080018, 'text'],
  [0x00080060, 'text'],
  [0x00181120, 'text'],
  [0x0020000e, 'text'],
  [0x00200032, 'text'],
  [0x00200037, 'text'],
  [0x00280002, 'uint16'],
  [0x00280008, 'text'],
  [0x00280010, 'uint16'],
  [0x00280011, 'uint16'],
  [0x00280030, 'text'],
  [0x00280100, 'uint16'],
]);

/** Reads on while `accept(tag)`; stops before the first tag that is not, at the pixels (returned), or at the end. */
function readElements(cursor: Cursor, values: Map<number, string | number>, accept: (tag: number) => boolean) {
  const { bytes, view } = cursor;
  while (cursor.at + 8 <= bytes.length) {
    const start = cursor.at;
    const tag = readTag(cursor);
    if (!accept(tag)) {
      cursor.at = start;
      return undefined;
    }
    const isUnknown = hasUnknownVr(cursor);
    const length = readLength(cursor);
    if (length === undefined) return undefined;
    if (tag === PIXEL_DATA) {
      const offset = cursor.at;
      return { offset, length: length === UNDEFINED_LENGTH ? undefined : length, littleEndian: cursor.littleEndian };
    }
    if (length === UNDEFINED_LENGTH) {
      if (!skipUndefined(cursor, isUnknown, 0)) return undefined;
      continue;
    }
    if (cursor.at + length > bytes.length) return undefined;
    const kind = WANTED.get(tag);
    if (kind === 'uint16' && length >= 2) values.set(tag, view.getUint16(cursor.at, cursor.littleEndian));
    if (kind === 'text') values.set(tag, ascii(bytes, cursor.at, Math.min(length, 256)));
    cursor.at += length;
  }
  return undefined;
}

function readTag(cursor: Cursor): number {
  const group = cursor.view.getUint16(cursor.at, cursor.littleEndian);
  const element = cursor.view.getUint16(cursor.at + 2, cursor.littleEndian);
  cursor.at += 4;
  return ((group << 16) | element) >>> 0;
}

/** The length after a tag, moving to the value; undefined at the end of the bytes. */
function readLength(cursor: Cursor): number | undefined {
  const { bytes, view, littleEndian } = cursor;
  if (cursor.at + 4 > bytes.length) return undefined;
  if (!cursor.explicit) {
    cursor.at += 4;
    return view.getUint32(cursor.at - 4, littleEndian);
  }
  if (!LONG_VR.has(ascii(bytes, cursor.at, 2))) {
    cursor.at += 4;
    return view.getUint16(cursor.at - 2, littleEndian);
  }
  if (cursor.at + 8 > bytes.length) return undefined;
  cursor.at += 8;
  return view.getUint32(cursor.at - 4, littleEndian);
}

function hasUnknownVr({ explicit, bytes, at }: Cursor): boolean {
  return explicit && ascii(bytes, at, 2) === 'UN';
}

/** Passes over a value of undefined length: a sequence, which in an element of unknown kind is implicit VR little endian (PS3.5, 6.2.2). */
function skipUndefined(cursor: Cursor, isUnknown: boolean, depth: number): boolean {
  if (!isUnknown) return skipSequence(cursor, depth);
  const { explicit, littleEndian } = cursor;
  cursor.explicit = false;
  cursor.littleEndian = true;
  const isWhole = skipSequence(cursor, depth);
  cursor.explicit = explicit;
  cursor.littleEndian = littleEndian;
  return isWhole;
}

/** Passes over the items of a sequence of undefined length; false when the bytes end or make no sense. */
function skipSequence(cursor: Cursor, depth: number): boolean {
  const { bytes, view } = cursor;
  if (depth > DEEPEST) return false;
  while (cursor.at + 8 <= bytes.length) {
    const tag = readTag(cursor);
    const length = view.getUint32(cursor.at, cursor.littleEndian); // item tags have no VR
    cursor.at += 4;
    if (tag === SEQUENCE_END) return true;
    if (tag !== ITEM) return false;
    if (length !== UNDEFINED_LENGTH) cursor.at += length;
    else if (!skipItem(cursor, depth + 1)) return false;
  }
  return false;
}

/** Passes over the elements of an item of undefined length. */
function skipItem(cursor: Cursor, depth: number): boolean {
  while (cursor.at + 8 <= cursor.bytes.length) {
    const tag = readTag(cursor);
    if (tag === ITEM_END) {
      cursor.at += 4;
      return true;
    }
    const isUnknown = hasUnknownVr(cursor);
    const length = readLength(cursor);
    if (length === undefined) return false;
    if (length !== UNDEFINED_LENGTH) cursor.at += length;
    else if (!skipUndefined(cursor, isUnknown, depth)) return false;
  }
  return false;
}

/** Walks the fragments of compressed pixels: an offset table, then one fragment a frame, then an end mark. */
function encapsulatedDefect(bytes: Uint8Array, offset: number, info: DicomInfo): string | undefined {
  const { frames, transferSyntax } = info;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let fragments = -1; // the first item is the offset table
  for (let at = offset; at + 8 <= bytes.length; ) {
    const tag = ((view.getUint16(at, true) << 16) | view.getUint16(at + 2, true)) >>> 0;
    if (tag === SEQUENCE_END) {
      if (fragments <= 0) return 'no pixels';
      return fragments > frames ? `one image in ${fragments} fragments, which is not supported` : undefined;
    }
    if (tag !== ITEM) return 'damaged compressed pixels';
    const length = view.getUint32(at + 4, true);
    const isWhole = at + 8 + length <= bytes.length;
    if (fragments >= 0 && isWhole && transferSyntax === RLE && !hasRleSegments(view, at + 8, length)) {
      return 'damaged compressed pixels';
    }
    fragments++;
    at += 8 + length;
  }
  return 'cut short within the pixels';
}

/** Whether a frame in RLE begins with 64 bytes that name 1 to 15 segments, one after the other, within it (PS3.5, G.5). */
function hasRleSegments(view: DataView, start: number, length: number): boolean {
  if (length < 64) return false;
  const count = view.getUint32(start, true);
  if (count < 1 || count > 15) return false;
  let before = 63;
  for (let i = 0; i < count; i++) {
    const at = view.getUint32(start + 4 + 4 * i, true);
    if (at <= before || at >= length) return false;
    before = at;
  }
  return true;
}

/** Text of `length` bytes, without padding; what lies outside the bytes is empty. */
function ascii(bytes: Uint8Array, start: number, length: number): string {
  return String.fromCharCode(...bytes.subarray(start, start + length))
    .replace(/\0/g, '')
    .trim();
}

/** CT slices as DICOM files (explicit little endian, uncompressed), for tests of what people's archives hold. */

import type { Triple } from '../data/affine.ts';
import { concatBytes } from '../formats/bytes.ts';

export interface SliceOptions {
  /** Image position (patient) in mm, LPS. */
  readonly position: Triple;
  /** Direction cosines of a row and of a column; axial when absent. */
  readonly orientation?: readonly number[];
  readonly instance: number;
  readonly series?: string;
  readonly seriesNumber?: number;
  readonly acquisition?: number;
  readonly slope?: number;
  readonly intercept?: number;
  /** Pixels a row and rows. */
  readonly size?: number;
  /** Millimetres between pixels. */
  readonly spacing?: number;
  readonly imageType?: string;
  /** SOP instance UID; by default from series, acquisition and instance. */
  readonly uid?: string;
  /** Stored value of each pixel. */
  readonly pixel?: (x: number, y: number) => number;
  /** Elements to put before the pixels, as bytes. */
  readonly extra?: Uint8Array;
}

const LONG = new Set(['OB', 'OW', 'SQ', 'UN']);
const TEXT = new TextEncoder();

/** One element: tag, value representation, value (text is padded to an even length). */
export function element(tag: number, vr: string, value: string | Uint8Array | number): Uint8Array<ArrayBuffer> {
  const raw =
    typeof value === 'number'
      ? Uint8Array.of(value & 255, value >> 8)
      : typeof value === 'string'
        ? TEXT.encode(value + (value.length % 2 ? (vr === 'UI' ? '\0' : ' ') : ''))
        : value;
  const head = LONG.has(vr) ? 12 : 8;
  const bytes = new Uint8Array(head + raw.length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, tag >>> 16, true);
  view.setUint16(2, tag & 0xffff, true);
  bytes.set(TEXT.encode(vr), 4);
  if (head === 12) view.setUint32(8, raw.length, true);
  else view.setUint16(6, raw.length, true);
  bytes.set(raw, head);
  return bytes;
}

const joined = (...parts: readonly Uint8Array[]) => concatBytes(parts);

/** A slice as a file. By default 32 × 32 pixels of 2 mm, air with a bright square, of series 1. */
export function dicomSlice(options: SliceOptions): Uint8Array<ArrayBuffer> {
  const { position, instance, size = 32, slope = 1, intercept = 0, seriesNumber = 1, acquisition = 1 } = options;
  const orientation = options.orientation ?? [1, 0, 0, 0, 1, 0];
  const pixel = options.pixel ?? ((x, y) => (x > 8 && x < 24 && y > 8 && y < 24 ? 40 + x + instance : -1000));
  const pixels = new Int16Array(size * size);
  for (let y = 0; y < size; y++) for (let x = 0; x < size; x++) pixels[y * size + x] = pixel(x, y);
  const uid = (tail: string) => `1.2.826.0.1.3680043.8.498.${tail}`;
  const series = uid(options.series ?? '7');
  const instanceUid = options.uid ?? `${series}.${acquisition}.${instance}`;
  const meta = joined(
    element(0x00020002, 'UI', '1.2.840.10008.5.1.4.1.1.2'),
    element(0x00020003, 'UI', instanceUid),
    element(0x00020010, 'UI', '1.2.840.10008.1.2.1'),
  );
  const size4 = new Uint8Array(4);
  new DataView(size4.buffer).setUint32(0, meta.length, true);
  return joined(
    new Uint8Array(128),
    TEXT.encode('DICM'),
    joined(TEXT.encode('\x02\0\0\0UL\x04\0'), size4),
    meta,
    element(0x00080008, 'CS', options.imageType ?? 'ORIGINAL\\PRIMARY\\AXIAL'),
    element(0x00080016, 'UI', '1.2.840.10008.5.1.4.1.1.2'),
    element(0x00080018, 'UI', instanceUid),
    element(0x00080060, 'CS', 'CT'),
    element(0x00080070, 'LO', 'SIEMENS'),
    element(0x00100010, 'PN', 'Nobody^Here'),
    element(0x0020000d, 'UI', uid('1')),
    element(0x0020000e, 'UI', series),
    element(0x00200011, 'IS', String(seriesNumber)),
    element(0x00200012, 'IS', String(acquisition)),
    element(0x00200013, 'IS', String(instance)),
    element(0x00200032, 'DS', position.join('\\')),
    element(0x00200037, 'DS', orientation.join('\\')),
    element(0x00280002, 'US', 1),
    element(0x00280004, 'CS', 'MONOCHROME2'),
    element(0x00280010, 'US', size),
    element(0x00280011, 'US', size),
    element(0x00280030, 'DS', `${options.spacing ?? 2}\\${options.spacing ?? 2}`),
    element(0x00280100, 'US', 16),
    element(0x00280101, 'US', 16),
    element(0x00280102, 'US', 15),
    element(0x00280103, 'US', 1),
    element(0x00281052, 'DS', String(intercept)),
    element(0x00281053, 'DS', String(slope)),
    options.extra ?? new Uint8Array(0),
    element(0x7fe00010, 'OW', new Uint8Array(pixels.buffer)),
  );
}

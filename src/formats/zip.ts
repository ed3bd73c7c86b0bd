/**
 * Zip archives as PyTorch uses them: written stored, with every record's bytes at a multiple of 64 as `torch.save` does;
 * read stored or deflated, with or without data descriptors. Archives that need zip64 (4 GiB, 65 535 records) are refused.
 * https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT (section 4.3)
 */
import { inflateSync } from 'fflate';
import { HysparkError } from '../errors.ts';
import { type Bytes, concatBytes } from './bytes.ts';
import { crc32 } from './crc.ts';

const LOCAL = 0x04034b50;
const CENTRAL = 0x02014b50;
const END = 0x06054b50;
/** Field values that send a reader to the zip64 records. */
const LIMIT_32 = 0xffffffff;
const LIMIT_16 = 0xffff;
/** No deflate stream expands by more. */
const MAX_DEFLATE_RATIO = 1032;
const ALIGNMENT = 64;
/** 1 January 1980, the calendar's first day: equal content gives equal files. */
const DOS_DATE = 0x21;

export interface ZipRecord {
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  /** Called in the record's turn; may be asked once only. */
  readonly data: () => Bytes | Promise<Bytes>;
}

/**
 * Writes a stored archive, chunk by chunk; a record's bytes are yielded without a copy.
 * @throws HysparkError `unsupported`, before the first chunk, where the archive would need zip64
 */
export async function* writeZip(records: readonly ZipRecord[]): AsyncGenerator<Bytes> {
  const names = records.map(({ name }) => new TextEncoder().encode(name));
  const offsets: number[] = [];
  let at = 0;
  for (const [i, { size }] of records.entries()) {
    offsets.push(at);
    at = dataStart(at, names[i]!.length) + size;
  }
  const directorySize = names.reduce((sum, name) => sum + 46 + name.length, 0);
  if (at + directorySize >= LIMIT_32 || records.length >= LIMIT_16)
    throw new HysparkError('unsupported', {
      doing: 'writing a zip archive',
      got: `${records.length} records, ${at + directorySize} bytes`,
      need: 'fewer than 65535, less than 4 GiB (zip64 is not written)',
    });

  const directory: Bytes[] = [];
  for (const [i, record] of records.entries()) {
    const name = names[i]!;
    const data = await record.data();
    if (data.length !== record.size)
      throw new Error(`record "${record.name}": ${data.length} bytes, not ${record.size}`);
    const common = [20, 0x800, 0, 0, DOS_DATE]; // version needed, flags: UTF-8 names, method: stored, time, date
    const sums = [crc32(data), record.size, record.size];
    const start = offsets[i]!;
    const extra = dataStart(start, name.length) - start - 30 - name.length;
    yield concatBytes([
      pack([LOCAL], common, sums, [name.length, extra]),
      name,
      // an extra field that holds nothing but the padding, under the id that PyTorch gives it
      pack([], [0x4246, extra - 4]),
      new Uint8Array(extra - 4).fill(0x5a),
    ]);
    yield data;
    const attributes = [name.length, 0, 0, 0, 0]; // extra, comment, disk, internal attributes
    directory.push(pack([CENTRAL], [20, ...common], sums, attributes, [0, start]), name); // external attributes, offset
  }
  const count = records.length;
  yield concatBytes([...directory, pack([END], [0, 0, count, count], [directorySize, at], [0])]);
}

/** Where a record's bytes start: behind the header of 30, the name and an extra field of at least 4 bytes, then aligned. */
function dataStart(header: number, nameBytes: number): number {
  return Math.ceil((header + 30 + nameBytes + 4) / ALIGNMENT) * ALIGNMENT;
}

/** Little-endian fields; groups alternate between 32 and 16 bits, beginning with 32. */
function pack(...groups: number[][]): Bytes {
  const bytes: number[] = [];
  for (const [g, group] of groups.entries())
    for (const value of group) {
      bytes.push(value & 255, (value >>> 8) & 255);
      if (g % 2 === 0) bytes.push((value >>> 16) & 255, value >>> 24);
    }
  return new Uint8Array(bytes);
}

export interface ZipEntry {
  readonly name: string;
  /** Bytes when unpacked. */
  readonly size: number;
  /** The unpacked bytes, a view into the archive where stored. @throws HysparkError `bad-file` where they fail their check */
  read(): Uint8Array;
}

/**
 * Reads the directory of an archive; entries are unpacked and checked when they are asked for.
 * @throws HysparkError `bad-file` where it is damaged, `unsupported` where it is encrypted, packed otherwise than by deflate, or zip64
 */
export function readZip(bytes: Uint8Array, file = 'zip archive'): Map<string, ZipEntry> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const { count, start, size } = findDirectory(view, file);
  const entries = new Map<string, ZipEntry>();
  const spans: { name: string; from: number; to: number }[] = [];
  let at = start;
  for (let i = 0; i < count; i++) {
    const header = readCentralHeader(view, at, start + size, file);
    if (entries.has(header.name)) throw bad(file, `two records named "${header.name}"`);
    const data = locateData(bytes, view, header, start, file);
    entries.set(header.name, { name: header.name, size: header.size, read: () => unpack(data, header, file) });
    spans.push({ name: header.name, from: header.offset, to: data.byteOffset - bytes.byteOffset + data.length });
    at = header.next;
  }
  // records that share bytes are how a small archive unpacks to a giant one
  spans.sort((a, b) => a.from - b.from);
  for (const [i, { name, from }] of spans.entries())
    if (i > 0 && from < spans[i - 1]!.to) throw bad(file, `record "${name}" overlapping "${spans[i - 1]!.name}"`);
  return entries;
}

function bad(file: string, got: string, need?: string): HysparkError {
  return new HysparkError('bad-file', { doing: `reading ${file}`, got, need });
}

function unsupported(file: string, got: string, need: string): HysparkError {
  return new HysparkError('unsupported', { doing: `reading ${file}`, got, need });
}

function findDirectory(view: DataView, file: string): { count: number; start: number; size: number } {
  const last = view.byteLength - 22; // the end record is 22 bytes and a comment of at most 65535
  for (let at = last; at >= 0 && at >= last - LIMIT_16; at--) {
    if (view.getUint32(at, true) !== END || view.getUint16(at + 20, true) !== last - at) continue;
    const disks = [view.getUint16(at + 4, true), view.getUint16(at + 6, true)];
    const count = view.getUint16(at + 10, true);
    const size = view.getUint32(at + 12, true);
    const start = view.getUint32(at + 16, true);
    if (count === LIMIT_16 || size === LIMIT_32 || start === LIMIT_32)
      throw unsupported(file, 'a zip64 archive', 'less than 4 GiB and fewer than 65535 records');
    if (disks.some((disk) => disk !== 0) || view.getUint16(at + 8, true) !== count)
      throw unsupported(file, 'an archive in several parts', 'one file');
    if (start + size > at)
      throw bad(file, `a zip directory of ${size} bytes at byte ${start}`, `its end before byte ${at}`);
    return { count, start, size };
  }
  throw bad(file, `${view.byteLength} bytes without a zip directory`, 'a zip archive: truncated, or not one');
}

interface CentralHeader {
  readonly name: string;
  readonly flags: number;
  readonly method: number;
  readonly crc: number;
  readonly packedSize: number;
  readonly size: number;
  readonly offset: number;
  readonly next: number;
}

function readCentralHeader(view: DataView, at: number, end: number, file: string): CentralHeader {
  if (at + 46 > end || view.getUint32(at, true) !== CENTRAL) throw bad(file, `no zip directory entry at byte ${at}`);
  const nameEnd = at + 46 + view.getUint16(at + 28, true);
  const next = nameEnd + view.getUint16(at + 30, true) + view.getUint16(at + 32, true);
  if (next > end) throw bad(file, `a zip directory entry at byte ${at} that leaves the directory`);
  const header = {
    name: new TextDecoder().decode(new Uint8Array(view.buffer, view.byteOffset + at + 46, nameEnd - at - 46)),
    flags: view.getUint16(at + 8, true),
    method: view.getUint16(at + 10, true),
    crc: view.getUint32(at + 16, true),
    packedSize: view.getUint32(at + 20, true),
    size: view.getUint32(at + 24, true),
    offset: view.getUint32(at + 42, true),
    next,
  };
  const { name, flags, method, size, packedSize, offset } = header;
  if (packedSize === LIMIT_32 || size === LIMIT_32 || offset === LIMIT_32)
    throw unsupported(file, `record "${name}" in zip64 form`, 'less than 4 GiB');
  if (flags & 0x41) throw unsupported(file, `record "${name}" encrypted`, 'an archive without a password');
  if (method !== 0 && method !== 8)
    throw unsupported(file, `record "${name}" packed by method ${method}`, 'stored (0) or deflated (8)');
  if (method === 0 ? size !== packedSize : size > packedSize * MAX_DEFLATE_RATIO)
    throw bad(file, `record "${name}" of ${size} bytes, ${packedSize} packed`);
  return header;
}

/** The packed bytes. Sizes come from the directory, since the local header has none where a data descriptor follows. */
function locateData(bytes: Uint8Array, view: DataView, header: CentralHeader, end: number, file: string): Uint8Array {
  const { name, offset, packedSize } = header;
  if (offset + 30 > end || view.getUint32(offset, true) !== LOCAL)
    throw bad(file, `record "${name}" without a header at byte ${offset}`);
  const nameEnd = offset + 30 + view.getUint16(offset + 26, true);
  const start = nameEnd + view.getUint16(offset + 28, true);
  if (start + packedSize > end) throw bad(file, `record "${name}" up to byte ${start + packedSize}`, `at most ${end}`);
  const localName = new TextDecoder().decode(bytes.subarray(offset + 30, nameEnd));
  if (localName !== name) throw bad(file, `record "${name}" whose own header says "${localName}"`);
  return bytes.subarray(start, start + packedSize);
}

function unpack(packed: Uint8Array, { name, method, size, crc }: CentralHeader, file: string): Uint8Array {
  const data = method === 0 ? packed : inflate(packed, name, size, file);
  const found = crc32(data);
  if (found !== crc)
    throw bad(file, `record "${name}" with check sum ${hex(found)}`, `${hex(crc)}: its bytes are damaged`);
  return data;
}

function inflate(packed: Uint8Array, name: string, size: number, file: string): Uint8Array {
  let data: Uint8Array;
  try {
    data = inflateSync(packed, { out: new Uint8Array(size + 1) }); // one more, to notice a stream that is too long
  } catch (cause) {
    const got = `record "${name}" that does not unpack (${(cause as Error).message})`;
    throw new HysparkError('bad-file', { doing: `reading ${file}`, got, cause });
  }
  if (data.length !== size) throw bad(file, `record "${name}" that does not unpack to its size`, `${size} bytes`);
  return data;
}

const hex = (value: number) => `0x${value.toString(16).padStart(8, '0')}`;

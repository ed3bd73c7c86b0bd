/**
 * safetensors: u64 header length, a JSON header, then the tensors' bytes, all little-endian.
 * https://github.com/huggingface/safetensors#format
 */
import { HysparkError } from '../errors.ts';
import type { Bytes } from './bytes.ts';
import {
  byteCount,
  DTYPES,
  elementCount,
  type HostTensor,
  isDtype,
  itemSize,
  loadBytes,
  type TensorSource,
  type TensorSpec,
  viewAs,
} from './tensor.ts';

/** As in the reference implementation; a header is a few hundred bytes a tensor at most. */
const MAX_HEADER_BYTES = 100_000_000;

interface Entry extends TensorSpec {
  /** First byte, and the one behind the last, counted from the start of the file. */
  readonly start: number;
  readonly end: number;
}

export interface SafetensorsFile {
  readonly metadata: Record<string, string>;
  readonly tensors: Map<string, HostTensor>;
}

/**
 * Reads a whole file from memory. Tensors are views into `bytes` wherever they lie aligned, as they do in files written here.
 * @param file name for error messages
 * @throws HysparkError `bad-file`, naming the tensor and what is wrong with it; nothing is returned from a damaged file
 */
export function readSafetensors(bytes: Uint8Array, file = 'safetensors file'): SafetensorsFile {
  const headerBytes = headerLength(bytes, bytes.length, file);
  const { metadata, entries } = parseHeader(bytes.subarray(8, 8 + headerBytes), bytes.length, file);
  const tensors = new Map<string, HostTensor>();
  for (const [name, { dtype, shape, start, end }] of entries)
    tensors.set(name, { dtype, shape, data: viewAs(dtype, bytes.subarray(start, end)) });
  return { metadata, tensors };
}

/** A file of which only the header has been read. */
export interface SafetensorsIndex {
  readonly metadata: Record<string, string>;
  readonly specs: ReadonlyMap<string, TensorSpec>;
  /** Reads one tensor. @throws HysparkError `bad-argument` where the file has no tensor of that name */
  tensor(name: string): Promise<HostTensor>;
}

/**
 * Opens a file too large to hold, such as a dropped `File` or one of the origin's private file system: reads and
 * validates the header, then one tensor at a time.
 * @throws HysparkError as `readSafetensors`, and `storage` where the file cannot be read any more
 */
export async function openSafetensors(blob: Blob, file = 'safetensors file'): Promise<SafetensorsIndex> {
  const range = async (start: number, end: number) => {
    try {
      return new Uint8Array(await blob.slice(start, end).arrayBuffer());
    } catch (cause) {
      const got = cause instanceof Error ? cause.message : String(cause);
      throw new HysparkError('storage', { doing: `reading ${file}`, got, cause }); // removed, replaced, or its disk is gone
    }
  };
  const headerBytes = headerLength(await range(0, 8), blob.size, file);
  const { metadata, entries } = parseHeader(await range(8, 8 + headerBytes), blob.size, file);
  return {
    metadata,
    specs: entries,
    async tensor(name) {
      const entry = entries.get(name);
      if (!entry) throw new HysparkError('bad-argument', { doing: `reading ${file}`, got: `tensor name "${name}"` });
      const { dtype, shape, start, end } = entry;
      return { dtype, shape, data: viewAs(dtype, await range(start, end)) };
    },
  };
}

/** `got` may quote the header, which may be megabytes. */
function bad(file: string, got: string, need?: string): HysparkError {
  return new HysparkError('bad-file', { doing: `reading ${file}`, got: got.slice(0, 300), need });
}

function headerLength(first: Uint8Array, fileBytes: number, file: string): number {
  if (first.length < 8) throw bad(file, `${first.length} bytes`, 'at least 8: truncated, or not a safetensors file');
  const length = Number(new DataView(first.buffer, first.byteOffset).getBigUint64(0, true));
  if (length > MAX_HEADER_BYTES) throw bad(file, `a header of ${length} bytes`, `at most ${MAX_HEADER_BYTES}`);
  if (8 + length > fileBytes)
    throw bad(file, `a header of ${length} bytes in a file of ${fileBytes}`, 'the whole header: the file is truncated');
  return length;
}

function parseHeader(bytes: Uint8Array, fileBytes: number, file: string) {
  const header = parseJson(bytes, file);
  const dataStart = 8 + bytes.length;
  const metadata: Record<string, string> = Object.create(null);
  const entries = new Map<string, Entry>();
  for (const [name, value] of Object.entries(header)) {
    if (!isRecord(value)) throw bad(file, `header entry "${name}" that is no object`);
    if (name !== '__metadata__') {
      entries.set(name, parseEntry(name, value, dataStart, file));
      continue;
    }
    for (const [key, text] of Object.entries(value)) {
      if (typeof text !== 'string') throw bad(file, `metadata "${key}" of type ${typeof text}`, 'a string');
      metadata[key] = text;
    }
  }
  checkCoverage(entries, dataStart, fileBytes, file);
  return { metadata, entries };
}

function parseJson(bytes: Uint8Array, file: string): Record<string, unknown> {
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch (cause) {
    const got = `a header that is not JSON (${(cause as Error).message.slice(0, 120)})`;
    throw new HysparkError('bad-file', { doing: `reading ${file}`, got, cause });
  }
  if (!isRecord(header)) throw bad(file, 'a header that is no JSON object');
  return header;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function parseEntry(name: string, value: Record<string, unknown>, dataStart: number, file: string): Entry {
  const { dtype, shape, data_offsets: offsets } = value;
  if (!isDtype(dtype)) throw bad(file, `tensor "${name}" of dtype ${JSON.stringify(dtype)}`, DTYPES.join(', '));
  const count = elementCount(shape);
  if (count === undefined) throw bad(file, `tensor "${name}" of shape ${JSON.stringify(shape)}`, 'a list of sizes');
  const isPosition = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 0;
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isPosition))
    throw bad(file, `tensor "${name}" with data_offsets ${JSON.stringify(offsets)}`, 'two byte positions');
  const [begin, end] = offsets as [number, number];
  if (end - begin !== count * itemSize(dtype))
    throw bad(file, `tensor "${name}" over ${end - begin} bytes`, `${count} × ${itemSize(dtype)} of its shape`);
  return { dtype, shape: shape as number[], start: dataStart + begin, end: dataStart + end };
}

/** The format asks that the tensors fill the file: no gap (things could hide there), no overlap. */
function checkCoverage(entries: Map<string, Entry>, dataStart: number, fileBytes: number, file: string): void {
  let at = dataStart;
  const sorted = [...entries].sort(([, a], [, b]) => a.start - b.start || a.end - b.end);
  for (const [name, { start, end }] of sorted) {
    if (end > fileBytes)
      throw bad(file, `tensor "${name}" up to byte ${end} of ${fileBytes}`, 'the whole file: truncated');
    if (start !== at)
      throw bad(file, `tensor "${name}" from byte ${start}, ${start < at ? 'overlapping' : 'a gap'}`, `byte ${at}`);
    at = end;
  }
  if (at !== fileBytes) throw bad(file, `${fileBytes - at} bytes behind the last tensor`, 'none');
}

/**
 * Writes a file, chunk by chunk; a tensor's bytes are yielded without a copy. The order is by element size, then name, so
 * equal content gives equal files and every tensor lies aligned; the first lies at a multiple of 8 bytes.
 * @throws HysparkError `bad-shape` where a tensor's elements do not fit its shape, `bad-argument` for the name `__metadata__`
 */
export async function* writeSafetensors(
  tensors: ReadonlyMap<string, TensorSource>,
  metadata: Readonly<Record<string, string>> = {},
): AsyncGenerator<Bytes> {
  const sorted = inFileOrder(tensors);
  yield encodeHeader(sorted, metadata);
  for (const [name, source] of sorted) yield await loadBytes(source, `writing tensor "${name}"`);
}

/** Tensors as they follow one another in a file, and as their data is asked for. */
export function inFileOrder<T extends TensorSpec>(tensors: ReadonlyMap<string, T>): [string, T][] {
  return [...tensors].sort(([a, x], [b, y]) => itemSize(y.dtype) - itemSize(x.dtype) || (a < b ? -1 : a > b ? 1 : 0));
}

function encodeHeader(sorted: [string, TensorSource][], metadata: Readonly<Record<string, string>>): Bytes {
  const fields: string[] = [];
  const keys = Object.keys(metadata).sort();
  if (keys.length) fields.push(`"__metadata__":{${keys.map((key) => `${quote(key)}:${quote(metadata[key]!)}`)}}`);
  let at = 0;
  for (const [name, { dtype, shape }] of sorted) {
    const doing = `writing tensor "${name}"`;
    if (name === '__metadata__')
      throw new HysparkError('bad-argument', { doing, need: 'another name, this is reserved' });
    const end = at + byteCount({ dtype, shape }, doing);
    fields.push(`${quote(name)}:{"dtype":"${dtype}","shape":[${shape}],"data_offsets":[${at},${end}]}`);
    at = end;
  }
  const json = new TextEncoder().encode(`{${fields}}`);
  const padded = Math.ceil(json.length / 8) * 8;
  const head = new Uint8Array(8 + padded).fill(0x20); // the format pads with spaces
  new DataView(head.buffer).setBigUint64(0, BigInt(padded), true);
  head.set(json, 8);
  return head;
}

const quote = (text: string) => JSON.stringify(text);

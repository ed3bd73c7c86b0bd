/** From the bytes of a file to voxels: byte order, slope and intercept, types wider than 16 bits. */

import { HysparkError } from '../errors.ts';
import { AIR_HU, type Scan } from './scan.ts';

/** The element types that scans come in. */
export type ScanDtype =
  | 'uint8'
  | 'int8'
  | 'uint16'
  | 'int16'
  | 'uint32'
  | 'int32'
  | 'uint64'
  | 'int64'
  | 'float32'
  | 'float64';

/** Bytes of one voxel. */
export function dtypeBytes(dtype: ScanDtype): number {
  return Number(/\d+$/.exec(dtype)![0]) / 8;
}

/** What a stored number means: `stored * slope + inter`, in float64, then rounded to float32. */
export interface Scaling {
  readonly slope: number;
  readonly inter: number;
}

/**
 * Voxels from `bytes`, which are used up: they are swapped to this machine's order in place, and types wider than
 * 16 bits become float32 HU in the same memory, so that a scan never takes more than its size on disk.
 */
export function decodeVoxels(
  bytes: Uint8Array<ArrayBuffer>,
  dtype: ScanDtype,
  littleEndian: boolean,
  scaling: Scaling,
): Pick<Scan, 'voxels' | 'table' | 'nonFinite'> {
  const size = dtypeBytes(dtype);
  if (bytes.length % size !== 0 || bytes.byteOffset % size !== 0) {
    throw new HysparkError('bad-argument', { doing: 'decodeVoxels', got: `${bytes.length} bytes of ${dtype}` });
  }
  if (littleEndian !== HOST_IS_LITTLE_ENDIAN) swapBytes(bytes, size);
  const { buffer, byteOffset } = bytes;
  const count = bytes.length / size;
  const words = () => new Uint16Array(buffer, byteOffset, count);
  switch (dtype) {
    case 'uint8':
      return { voxels: bytes, table: scalingTable(new Uint8Array(256), scaling), nonFinite: 0 };
    case 'int8':
      return { voxels: bytes, table: scalingTable(new Int8Array(256), scaling), nonFinite: 0 };
    case 'uint16':
      return { voxels: words(), table: scalingTable(new Uint16Array(65536), scaling), nonFinite: 0 };
    case 'int16':
      return { voxels: words(), table: scalingTable(new Int16Array(65536), scaling), nonFinite: 0 };
    default:
      return toFloat32(wideView(dtype, buffer, byteOffset, count), scaling);
  }
}

const HOST_IS_LITTLE_ENDIAN = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

function wideView(dtype: ScanDtype, buffer: ArrayBuffer, offset: number, count: number) {
  if (dtype === 'uint32') return new Uint32Array(buffer, offset, count);
  if (dtype === 'int32') return new Int32Array(buffer, offset, count);
  if (dtype === 'uint64') return new BigUint64Array(buffer, offset, count);
  if (dtype === 'int64') return new BigInt64Array(buffer, offset, count);
  if (dtype === 'float64') return new Float64Array(buffer, offset, count);
  return new Float32Array(buffer, offset, count);
}

/** HU for each bit pattern: `values` is an array of the type, of as many elements as it has values. */
function scalingTable(values: Uint8Array | Int8Array | Uint16Array | Int16Array, { slope, inter }: Scaling) {
  const table = new Float32Array(values.length);
  for (let bits = 0; bits < table.length; bits++) {
    values[bits] = bits; // read back as the type sees it: signed or not
    const hu = Math.fround(values[bits]! * slope + inter);
    table[bits] = Number.isFinite(hu) ? hu : AIR_HU;
  }
  return table;
}

/** Float32 HU in the memory of `source`: entry i is read before it is overwritten, as 4 i <= size i. */
function toFloat32(source: ReturnType<typeof wideView>, { slope, inter }: Scaling) {
  const voxels = new Float32Array(source.buffer, source.byteOffset, source.length);
  let nonFinite = 0;
  for (let i = 0; i < source.length; i++) {
    const hu = Math.fround(Number(source[i]) * slope + inter);
    if (Number.isFinite(hu)) {
      voxels[i] = hu;
    } else {
      voxels[i] = AIR_HU;
      nonFinite++;
    }
  }
  return { voxels, nonFinite };
}

function swapBytes(bytes: Uint8Array, size: number): void {
  for (let start = 0; start < bytes.length; start += size) {
    for (let low = start, high = start + size - 1; low < high; low++, high--) {
      const swap = bytes[low]!;
      bytes[low] = bytes[high]!;
      bytes[high] = swap;
    }
  }
}

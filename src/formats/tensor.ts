/**
 * A tensor in ordinary memory, as the file formats exchange it: element type, shape, elements in C order.
 * Element types carry the spelling of safetensors. F16 and BF16 have no typed array of their own: their elements are
 * the raw 16 bits, and `toFloat32` widens them.
 */
import { HysparkError } from '../errors.ts';
import type { Bytes } from './bytes.ts';

const ARRAYS = {
  F64: Float64Array,
  F32: Float32Array,
  F16: Uint16Array,
  BF16: Uint16Array,
  I64: BigInt64Array,
  I32: Int32Array,
  I16: Int16Array,
  I8: Int8Array,
  U32: Uint32Array,
  U16: Uint16Array,
  U8: Uint8Array,
  BOOL: Uint8Array,
} as const;

export type Dtype = keyof typeof ARRAYS;
export const DTYPES = Object.keys(ARRAYS) as Dtype[];
export type TensorData = InstanceType<(typeof ARRAYS)[Dtype]>;

/** Shape and element type without the elements. */
export interface TensorSpec {
  readonly dtype: Dtype;
  /** Outermost axis first; `[]` is a scalar. */
  readonly shape: readonly number[];
}

export interface HostTensor extends TensorSpec {
  /** `product(shape)` elements in C order, of the typed array that belongs to `dtype`. May be a view into a file. */
  readonly data: TensorData;
}

/** A tensor to be written. A function is called when its turn comes, so that one tensor at a time need be in memory. */
export interface TensorSource extends TensorSpec {
  readonly data: TensorData | (() => TensorData | Promise<TensorData>);
}

export function isDtype(text: unknown): text is Dtype {
  return typeof text === 'string' && Object.hasOwn(ARRAYS, text);
}

/** Whether a value of a loaded file is a tensor. */
export function isTensor(value: unknown): value is HostTensor {
  return typeof value === 'object' && value !== null && 'dtype' in value && isDtype(value.dtype);
}

/** Bytes of one element. */
export function itemSize(dtype: Dtype): number {
  return ARRAYS[dtype].BYTES_PER_ELEMENT;
}

/** Number of elements, or undefined where `shape` is no list of sizes or the count is no exact integer. */
export function elementCount(shape: unknown): number | undefined {
  if (!Array.isArray(shape) || !shape.every((size) => Number.isSafeInteger(size) && size >= 0)) return undefined;
  const count = shape.reduce((product, size) => product * size, 1);
  return Number.isSafeInteger(count) ? count : undefined;
}

/** Number of bytes of a tensor; throws `bad-shape` where the shape is no list of sizes. */
export function byteCount(spec: TensorSpec, doing: string): number {
  const count = elementCount(spec.shape);
  if (count === undefined) throw new HysparkError('bad-shape', { doing, got: `shape [${spec.shape}]`, need: 'sizes' });
  return count * itemSize(spec.dtype);
}

/**
 * The typed array over these bytes: a view where their address is a multiple of the element size, else a copy.
 * `bytes.byteLength` must be a multiple of the element size.
 */
export function viewAs(dtype: Dtype, bytes: Uint8Array): TensorData {
  const size = itemSize(dtype);
  const aligned = bytes.byteOffset % size === 0 && bytes.buffer instanceof ArrayBuffer;
  const { buffer, byteOffset } = (aligned ? bytes : new Uint8Array(bytes)) as Bytes;
  return new ARRAYS[dtype](buffer, byteOffset, bytes.byteLength / size);
}

/** An array for `count` elements, zero-filled. */
export function allocate(dtype: Dtype, count: number): TensorData {
  return new ARRAYS[dtype](count);
}

/** The elements' bytes, without a copy. */
export function bytesOf(data: TensorData): Bytes {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

/** The bytes of a source, checked against its shape and element type. `doing` names the tensor in the error. */
export async function loadBytes(source: TensorSource, doing: string): Promise<Bytes> {
  const need = byteCount(source, doing);
  const data = typeof source.data === 'function' ? await source.data() : source.data;
  if (!(data instanceof ARRAYS[source.dtype]) || data.byteLength !== need)
    throw new HysparkError('bad-shape', {
      doing,
      got: `${data.length} elements of ${data.constructor.name}`,
      need: `shape [${source.shape}] of ${source.dtype}`,
    });
  return bytesOf(data);
}

/** The elements as float32: F32 is returned as it is, F64 and integers are rounded, F16 and BF16 widened exactly. */
export function toFloat32(tensor: HostTensor): Float32Array<ArrayBuffer> {
  const { dtype, data } = tensor;
  if (data instanceof Float32Array) return data;
  if (dtype === 'F16') return Float32Array.from(data as Uint16Array, halfToFloat);
  if (dtype === 'BF16') {
    const bits = Uint32Array.from(data as Uint16Array, (half) => half << 16);
    return new Float32Array(bits.buffer);
  }
  return data instanceof BigInt64Array ? Float32Array.from(data, Number) : new Float32Array(data);
}

/** IEEE 754 binary16: sign 1, exponent 5 (bias 15), fraction 10. */
function halfToFloat(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1024 + fraction) * 2 ** (exponent - 25);
}

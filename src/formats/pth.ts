/**
 * PyTorch's `.pth` files as written since version 1.6: a stored zip archive of a pickle, whose tensors refer to their
 * elements ("storages") in records of their own.
 * https://github.com/pytorch/pytorch/blob/v2.4.0/torch/serialization.py, torch/_utils.py
 */
import { type ErrorCode, HysparkError } from '../errors.ts';
import type { Bytes } from './bytes.ts';
import { Call, GlobalRef, PersistentId, type PickleKey, type PyFloat, Tuple, writePickle } from './pickle.ts';
import {
  allocate,
  byteCount,
  type Dtype,
  elementCount,
  type HostTensor,
  isTensor,
  itemSize,
  loadBytes,
  type TensorData,
  type TensorSource,
  viewAs,
} from './tensor.ts';
import { Callable, kindOf, Opaque, readPickle } from './unpickle.ts';
import { readZip, writeZip, type ZipEntry, type ZipRecord } from './zip.ts';

export { OrderedDict, PyFloat, Tuple } from './pickle.ts';

/** What a file holds: a state dict is an `OrderedDict` (or `Map`) of tensors, a training checkpoint has some of them inside. */
export type PthValue =
  | PickleKey
  | PthValue[]
  | Tuple<PthValue>
  | Map<PickleKey, PthValue>
  | Set<PickleKey>
  | HostTensor;

/** What can be written. Numbers that are whole become ints; `PyFloat` keeps a whole float. */
export type PthInput =
  | PickleKey
  | PyFloat
  | readonly PthInput[]
  | Tuple<PthInput>
  | ReadonlyMap<PickleKey, PthInput>
  | TensorSource;

/** `torch.<name>Storage`. PyTorch has none for U16 and U32. */
const STORAGES: readonly (readonly [string, Dtype])[] = [
  ['Double', 'F64'],
  ['Float', 'F32'],
  ['Half', 'F16'],
  ['BFloat16', 'BF16'],
  ['Long', 'I64'],
  ['Int', 'I32'],
  ['Short', 'I16'],
  ['Char', 'I8'],
  ['Byte', 'U8'],
  ['Bool', 'BOOL'],
];

/** PyTorch names the archive's folder after the file; readers accept any. */
const FOLDER = 'archive';

/**
 * Writes a file that `torch.load` reads, with `weights_only=True` too, chunk by chunk (floats outside of tensors need PyTorch 2
 * for that). Tensors whose `data` is the same object share one storage.
 * @throws HysparkError `bad-shape` where a tensor's elements do not fit its shape, `unsupported` for an element type that PyTorch cannot
 *   store or a file of 4 GiB and more, `bad-argument` for any other value
 */
export async function* writePth(value: PthInput): AsyncGenerator<Bytes> {
  const storages: WrittenStorage[] = [];
  const shared = new Map<TensorSource['data'], WrittenStorage>();
  const pickle = writePickle(value, (object, path) => {
    const doing = `writing tensor "${path}" of a .pth file`;
    if (!isTensor(object))
      throw new HysparkError('bad-argument', {
        doing,
        got: `a value of type ${typeof object}`,
        need: 'null, booleans, numbers, strings, arrays, tuples, maps or tensors',
      });
    const count = byteCount(object, doing) / itemSize(object.dtype);
    let storage = shared.get(object.data);
    if (storage?.source.dtype !== object.dtype || storage.count !== count) {
      storage = { source: object, doing, count, id: storageId(object.dtype, count, storages.length, doing) };
      storages.push(storage);
      shared.set(object.data, storage);
    }
    return rebuildCall(object, storage.id);
  });

  const text = (name: string, content: string): ZipRecord => {
    const data = new TextEncoder().encode(content);
    return { name: `${FOLDER}/${name}`, size: data.length, data: () => data };
  };
  const records: ZipRecord[] = [
    { name: `${FOLDER}/data.pkl`, size: pickle.length, data: () => pickle },
    text('byteorder', 'little'),
    ...storages.map(({ source, doing, count }, i) => ({
      name: `${FOLDER}/data/${i}`,
      size: count * itemSize(source.dtype),
      data: () => loadBytes(source, doing),
    })),
    text('version', '3\n'),
  ];
  yield* writeZip(records);
}

interface WrittenStorage {
  readonly source: TensorSource;
  /** What to say where it fails. */
  readonly doing: string;
  readonly count: number;
  readonly id: PersistentId;
}

function storageId(dtype: Dtype, count: number, key: number, doing: string): PersistentId {
  const storage = STORAGES.find(([, type]) => type === dtype);
  if (!storage) throw new HysparkError('unsupported', { doing, got: `element type ${dtype}`, need: 'another one' });
  return new PersistentId(
    new Tuple(['storage', new GlobalRef('torch', `${storage[0]}Storage`), `${key}`, 'cpu', count]),
  );
}

/** `_rebuild_tensor_v2(storage, offset, size, stride, requires_grad, backward_hooks)` */
function rebuildCall({ shape }: TensorSource, storage: PersistentId): Call {
  const strides: number[] = [];
  for (let axis = shape.length - 1, stride = 1; axis >= 0; axis--) {
    strides.unshift(stride);
    stride *= Math.max(shape[axis]!, 1);
  }
  const hooks = new Call(new GlobalRef('collections', 'OrderedDict'), []);
  const args = [storage, 0, new Tuple(shape), new Tuple(strides), false, hooks];
  return new Call(new GlobalRef('torch._utils', '_rebuild_tensor_v2'), args);
}

/** A pickle describes tensors in some hundred bytes each; anything larger is no checkpoint. */
const MAX_PICKLE_BYTES = 64 * 2 ** 20;
/** PyTorch's own bound on dimensions. */
const MAX_RANK = 64;
/** How `torch.save` began a file before version 1.6: a pickled magic number. */
const LEGACY = [0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46];

/**
 * Reads a file. Contiguous tensors are views into `bytes` (and share memory where they shared it in PyTorch), strided ones
 * are copied into C order; parameters become plain tensors. Nothing is executed: see `unpickle.ts`.
 * @param file name for error messages
 * @throws HysparkError `bad-file` where the file is damaged, `unsupported` where it holds anything but tensors and containers, or is of
 *   another kind (before PyTorch 1.6, TorchScript, big-endian, zip64); nothing is returned from a file with any of these
 */
export function readPth(bytes: Uint8Array, file = '.pth file'): PthValue {
  const fail = (got: string, need?: string, code: ErrorCode = 'bad-file', advice?: string) =>
    new HysparkError(code, { doing: `reading ${file}`, got, need, advice });
  if (LEGACY.every((byte, i) => bytes[i] === byte))
    throw fail('a file of PyTorch before 1.6', 'a zip archive', 'unsupported', 'Save it again with a newer torch.save');

  const entries = readZip(bytes, file);
  const pickles = [...entries.keys()].filter((name) => /^[^/]*\/data\.pkl$/.test(name));
  if (pickles.length !== 1) throw fail(`a zip archive with ${pickles.length} data.pkl`, 'one, as torch.save writes it');
  const folder = pickles[0]!.slice(0, -'/data.pkl'.length);
  if (entries.has(`${folder}/constants.pkl`)) throw fail('a TorchScript program', 'a state dict', 'unsupported');
  const byteOrder = entries.get(`${folder}/byteorder`);
  if (byteOrder && new TextDecoder().decode(byteOrder.read()) !== 'little')
    throw fail('a file of a big-endian machine', 'little-endian', 'unsupported');
  const pickle = entries.get(pickles[0]!)!;
  if (pickle.size > MAX_PICKLE_BYTES) throw fail(`a pickle of ${pickle.size} bytes`, `at most ${MAX_PICKLE_BYTES}`);

  const loader = new TensorLoader(entries, `${folder}/data/`, bytes.length, file);
  return readPickle(pickle.read(), {
    globals: loader.globals,
    persistent: (id) => loader.storage(id),
    file,
  }) as PthValue;
}

/** A loaded value as a state dict. @throws HysparkError `mismatch` that names the first entry that is no tensor */
export function asStateDict(value: unknown, file = '.pth file'): Map<string, HostTensor> {
  const refuse = (got: string) => new HysparkError('mismatch', { doing: `reading ${file}`, got, need: 'a state dict' });
  if (!(value instanceof Map)) throw refuse(kindOf(value));
  for (const [key, tensor] of value)
    if (typeof key !== 'string' || !isTensor(tensor))
      throw refuse(`entry ${JSON.stringify(String(key))}: ${kindOf(tensor)}`);
  return value as Map<string, HostTensor>;
}

class StorageType extends Opaque {
  readonly dtype: Dtype;
  constructor(name: string, dtype: Dtype) {
    super(name);
    this.dtype = dtype;
  }
}

class Storage extends Opaque {
  readonly dtype: Dtype;
  readonly data: TensorData;
  constructor(name: string, dtype: Dtype, data: TensorData) {
    super(name);
    this.dtype = dtype;
    this.data = data;
  }
}

class TensorLoader {
  readonly globals: ReadonlyMap<string, Opaque>;
  private readonly entries: ReadonlyMap<string, ZipEntry>;
  private readonly prefix: string;
  private readonly file: string;
  private readonly storages = new Map<string, Storage>();
  /** Strided tensors are copied; an expanded one (stride 0) could ask for any amount. */
  private copyBudget: number;

  constructor(entries: ReadonlyMap<string, ZipEntry>, prefix: string, fileBytes: number, file: string) {
    this.entries = entries;
    this.prefix = prefix;
    this.file = file;
    this.copyBudget = 2 * fileBytes + 2 ** 26;
    const functions = [
      new Callable('torch._utils._rebuild_tensor_v2', (args) => this.tensor(args)),
      new Callable('torch._utils._rebuild_parameter', ([tensor]) => {
        if (!isTensor(tensor)) throw this.fail(`a parameter made of ${kindOf(tensor)}`, 'a tensor');
        return tensor;
      }),
      new Callable('torch.Size', ([sizes]) => {
        if (!(sizes instanceof Tuple)) throw this.fail(`a torch.Size of ${kindOf(sizes)}`, 'a tuple');
        return sizes;
      }),
    ];
    const types = STORAGES.map(([name, dtype]) => new StorageType(`torch.${name}Storage`, dtype));
    this.globals = new Map([...functions, ...types].map((global) => [global.name, global]));
  }

  private fail(got: string, need?: string): HysparkError {
    return new HysparkError('bad-file', { doing: `reading ${this.file}`, got, need });
  }

  /** `('storage', type, key, location, number of elements)` */
  storage(id: unknown): Storage {
    const [tag, type, key, , count] = id instanceof Tuple ? id.items : [];
    if (tag !== 'storage' || !(type instanceof StorageType) || typeof key !== 'string' || typeof count !== 'number')
      throw this.fail('a reference to something that is no storage');
    const name = `storage ${JSON.stringify(key.slice(0, 40))}`;
    let storage = this.storages.get(key);
    if (!storage) {
      const entry = this.entries.get(this.prefix + key);
      if (!entry) throw this.fail(`${name} without a record in the archive`);
      if (entry.size !== count * itemSize(type.dtype))
        throw this.fail(`${name} of ${entry.size} bytes`, `${count} elements of ${type.dtype}`);
      storage = new Storage(name, type.dtype, viewAs(type.dtype, entry.read()));
      this.storages.set(key, storage);
    }
    if (storage.dtype !== type.dtype || storage.data.length !== count)
      throw this.fail(`${name} as ${count} of ${type.dtype}`, `${storage.data.length} of ${storage.dtype} as before`);
    return storage;
  }

  /** `_rebuild_tensor_v2(storage, offset, size, stride, requires_grad, backward_hooks)`; only the first four matter here. */
  private tensor([storage, offset, size, stride]: readonly unknown[]): HostTensor {
    if (!(storage instanceof Storage)) throw this.fail(`a tensor made of ${kindOf(storage)}`, 'a storage');
    const { data, dtype, name } = storage;
    const shape = this.sizes(size, `the shape of a tensor in ${name}`);
    const strides = this.sizes(stride, `the strides of a tensor in ${name}`);
    const first = this.sizes(new Tuple([offset]), `the offset of a tensor in ${name}`)[0]!;
    const count = elementCount(shape);
    if (count === undefined || strides.length !== shape.length)
      throw this.fail(`a tensor of shape [${shape}] and strides [${strides}] in ${name}`);
    const last = first + shape.reduce((sum, n, axis) => sum + (n - 1) * strides[axis]!, 0);
    if (count > 0 && !(last < data.length))
      throw this.fail(`a tensor of shape [${shape}] up to element ${last} of ${name}`, `fewer than ${data.length}`);
    if (count === 0) return { dtype, shape, data: allocate(dtype, 0) };
    if (isContiguous(shape, strides)) return { dtype, shape, data: data.subarray(first, first + count) };
    this.copyBudget -= count * itemSize(dtype);
    if (this.copyBudget < 0)
      throw this.fail(`a tensor of shape [${shape}] that repeats the elements of ${name} without measure`);
    return { dtype, shape, data: gather(data, dtype, first, shape, strides) };
  }

  private sizes(value: unknown, what: string): number[] {
    const sizes = value instanceof Tuple ? value.items : undefined;
    if (
      !sizes ||
      sizes.length > MAX_RANK ||
      !sizes.every((size) => Number.isSafeInteger(size) && (size as number) >= 0)
    )
      throw this.fail(`${what} that is no list of at most ${MAX_RANK} sizes`);
    return [...sizes] as number[];
  }
}

/** Whether the elements lie in C order without gaps; the stride of an axis of size 1 does not matter. */
function isContiguous(shape: readonly number[], strides: readonly number[]): boolean {
  let expected = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (shape[axis] !== 1 && strides[axis] !== expected) return false;
    expected *= shape[axis]!;
  }
  return true;
}

/** Copies a strided tensor of at least one element and one axis into C order. */
function gather(data: TensorData, dtype: Dtype, first: number, shape: readonly number[], strides: readonly number[]) {
  const inner = shape.length - 1;
  const out = allocate(dtype, elementCount(shape)!);
  const index = new Array<number>(inner).fill(0);
  for (let at = 0; at < out.length; ) {
    let from = index.reduce((sum, i, axis) => sum + i * strides[axis]!, first);
    for (let i = 0; i < shape[inner]!; i++, from += strides[inner]!) out[at++] = data[from]!;
    for (let axis = inner - 1; axis >= 0; axis--) {
      if (++index[axis]! < shape[axis]!) break;
      index[axis] = 0;
    }
  }
  return out;
}

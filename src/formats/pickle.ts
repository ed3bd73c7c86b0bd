/**
 * Python's pickle format: its values, its opcodes, and the writer (protocol 2, the one that `torch.save` uses).
 * https://github.com/python/cpython/blob/3.12/Lib/pickletools.py. The reader is `unpickle.ts`.
 */
import { HysparkError } from '../errors.ts';
import type { Bytes } from './bytes.ts';

/** What dictionaries and sets may be keyed by. */
export type PickleKey = string | number | bigint | boolean | null;

/** A Python tuple. Lists are JavaScript arrays. */
export class Tuple<T> {
  readonly items: readonly T[];
  constructor(items: readonly T[]) {
    this.items = items;
  }
}

/** A `collections.OrderedDict`. A plain `Map` is a `dict`. */
export class OrderedDict<T> extends Map<PickleKey, T> {}

/** A number that is a float in Python even where it is whole: `new PyFloat(1)` is `1.0`. Read floats are plain numbers. */
export class PyFloat {
  readonly value: number;
  constructor(value: number) {
    this.value = value;
  }
}

/** A class or function by its name. */
export class GlobalRef {
  readonly module: string;
  readonly qualifiedName: string;
  constructor(module: string, qualifiedName: string) {
    this.module = module;
    this.qualifiedName = qualifiedName;
  }
}

/** `callee(*args)`, evaluated by the reader. */
export class Call {
  readonly callee: GlobalRef;
  readonly args: readonly unknown[];
  constructor(callee: GlobalRef, args: readonly unknown[]) {
    this.callee = callee;
    this.args = args;
  }
}

/** Something kept outside the pickle, by its identifier. */
export class PersistentId {
  readonly id: Tuple<unknown>;
  constructor(id: Tuple<unknown>) {
    this.id = id;
  }
}

/** A loaded or written value is a tree of at most so many levels. */
export const MAX_DEPTH = 100;

// biome-ignore format: a table
export const OP = {
  MARK: 0x28, EMPTY_TUPLE: 0x29, STOP: 0x2e, POP: 0x30, POP_MARK: 0x31, DUP: 0x32, BINBYTES: 0x42, SHORT_BINBYTES: 0x43,
  FLOAT: 0x46, BINFLOAT: 0x47, INT: 0x49, BININT: 0x4a, BININT1: 0x4b, LONG: 0x4c, BININT2: 0x4d, NONE: 0x4e,
  PERSID: 0x50, BINPERSID: 0x51, REDUCE: 0x52, STRING: 0x53, BINSTRING: 0x54, SHORT_BINSTRING: 0x55, UNICODE: 0x56,
  BINUNICODE: 0x58, EMPTY_LIST: 0x5d, APPEND: 0x61, BUILD: 0x62, GLOBAL: 0x63, DICT: 0x64, APPENDS: 0x65, GET: 0x67,
  BINGET: 0x68, INST: 0x69, LONG_BINGET: 0x6a, LIST: 0x6c, OBJ: 0x6f, PUT: 0x70, BINPUT: 0x71, LONG_BINPUT: 0x72,
  SETITEM: 0x73, TUPLE: 0x74, SETITEMS: 0x75, EMPTY_DICT: 0x7d, PROTO: 0x80, NEWOBJ: 0x81, EXT1: 0x82, EXT2: 0x83,
  EXT4: 0x84, TUPLE1: 0x85, TUPLE2: 0x86, TUPLE3: 0x87, NEWTRUE: 0x88, NEWFALSE: 0x89, LONG1: 0x8a, LONG4: 0x8b,
  SHORT_BINUNICODE: 0x8c, BINUNICODE8: 0x8d, BINBYTES8: 0x8e, EMPTY_SET: 0x8f, ADDITEMS: 0x90, FROZENSET: 0x91,
  NEWOBJ_EX: 0x92, STACK_GLOBAL: 0x93, MEMOIZE: 0x94, FRAME: 0x95, BYTEARRAY8: 0x96, NEXT_BUFFER: 0x97,
  READONLY_BUFFER: 0x98,
} as const;

type Replace = (object: unknown, path: string) => unknown;

/**
 * Writes a value: null, booleans, numbers (whole ones as int), bigints, strings, `PyFloat`, arrays, `Tuple`, `Map`,
 * `OrderedDict`, and `GlobalRef`, `Call`, `PersistentId`.
 * @param replace what to write for any other object; `path` is the dictionary keys that lead to it
 * @throws HysparkError `bad-argument` for a value nested deeper than `MAX_DEPTH`, such as one that contains itself
 */
export function writePickle(value: unknown, replace: Replace): Bytes {
  const pickler = new Pickler(replace);
  pickler.out.push(OP.PROTO, 2);
  pickler.save(value, 0);
  pickler.out.push(OP.STOP);
  return new Uint8Array(pickler.out);
}

class Pickler {
  readonly out: number[] = [];
  private readonly replace: Replace;
  private readonly path: PickleKey[] = [];

  constructor(replace: Replace) {
    this.replace = replace;
  }

  save(value: unknown, depth: number): void {
    if (depth > MAX_DEPTH)
      throw new HysparkError('bad-argument', { doing: 'writing a pickle', got: `more than ${MAX_DEPTH} levels` });
    const { out } = this;
    const all = (values: Iterable<unknown>) => {
      for (const item of values) this.save(item, depth + 1);
    };
    if (value === null) out.push(OP.NONE);
    else if (typeof value === 'boolean') out.push(value ? OP.NEWTRUE : OP.NEWFALSE);
    else if (typeof value === 'number') this.number(value);
    else if (typeof value === 'bigint') this.long(value);
    else if (typeof value === 'string') this.string(value);
    else if (value instanceof PyFloat) this.float(value.value);
    else if (value instanceof Map) {
      if (value instanceof OrderedDict) this.save(new Call(new GlobalRef('collections', 'OrderedDict'), []), depth);
      else out.push(OP.EMPTY_DICT);
      out.push(OP.MARK);
      for (const [key, item] of value) {
        this.path.push(key);
        all([key, item]);
        this.path.pop();
      }
      out.push(OP.SETITEMS);
    } else if (Array.isArray(value)) {
      out.push(OP.EMPTY_LIST, OP.MARK);
      all(value);
      out.push(OP.APPENDS);
    } else if (value instanceof Tuple) {
      if (value.items.length > 0) out.push(OP.MARK);
      all(value.items);
      out.push(value.items.length > 0 ? OP.TUPLE : OP.EMPTY_TUPLE);
    } else if (value instanceof GlobalRef) {
      out.push(OP.GLOBAL, ...new TextEncoder().encode(`${value.module}\n${value.qualifiedName}\n`));
    } else if (value instanceof Call) {
      all([value.callee, new Tuple(value.args)]);
      out.push(OP.REDUCE);
    } else if (value instanceof PersistentId) {
      this.save(value.id, depth + 1);
      out.push(OP.BINPERSID);
    } else this.save(this.replace(value, this.path.join('.')), depth + 1);
  }

  private number(value: number): void {
    const { out } = this;
    if (!Number.isSafeInteger(value) || Object.is(value, -0)) this.float(value);
    else if (value >= 0 && value < 2 ** 8) out.push(OP.BININT1, value);
    else if (value >= 0 && value < 2 ** 16) out.push(OP.BININT2, value & 255, value >> 8);
    else if (value === (value | 0)) out.push(OP.BININT, ...uint32(value));
    else this.long(BigInt(value));
  }

  /** Two's complement, little-endian, as few bytes as hold the sign too. */
  private long(value: bigint): void {
    const bytes: number[] = [];
    for (let rest = value; ; rest >>= 8n) {
      const byte = Number(rest & 255n);
      bytes.push(byte);
      if (rest >> 7n === 0n || rest >> 7n === -1n) break;
    }
    if (bytes.length > 255)
      throw new HysparkError('bad-argument', { doing: 'writing a pickle', got: `an integer of ${bytes.length} bytes` });
    this.out.push(OP.LONG1, bytes.length, ...bytes);
  }

  private float(value: number): void {
    const view = new DataView(new ArrayBuffer(8));
    view.setFloat64(0, value); // big-endian, alone in this format
    this.out.push(OP.BINFLOAT, ...new Uint8Array(view.buffer));
  }

  private string(value: string): void {
    const bytes = new TextEncoder().encode(value);
    this.out.push(OP.BINUNICODE, ...uint32(bytes.length));
    for (const byte of bytes) this.out.push(byte);
  }
}

function uint32(value: number): number[] {
  return [value & 255, (value >>> 8) & 255, (value >>> 16) & 255, value >>> 24];
}

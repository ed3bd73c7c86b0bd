/**
 * Reads Python pickles of protocols 2 to 5 that hold data only. A pickle is a program: its opcodes may name any class or
 * function and call it. This reader knows containers, strings, numbers and the globals it is given, and refuses
 * everything else by name; nothing is looked up, imported or executed.
 */
import { type ErrorCode, HysparkError } from '../errors.ts';
import { MAX_DEPTH, OP, OrderedDict, type PickleKey, Tuple } from './pickle.ts';

/** A stand-in for something that is no value, such as a class; refused where it is left over in the result. */
export class Opaque {
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }
}

/** A function that the pickle may call. It checks its arguments itself. */
export class Callable extends Opaque {
  readonly call: (args: readonly unknown[]) => unknown;
  constructor(name: string, call: (args: readonly unknown[]) => unknown) {
    super(name);
    this.call = call;
  }
}

export interface UnpickleOptions {
  /** By `module.name`. */
  readonly globals: ReadonlyMap<string, Opaque>;
  /** Resolves an identifier to something kept outside the pickle. */
  readonly persistent: (id: unknown) => unknown;
  /** Name of the file, for error messages. */
  readonly file: string;
}

/** The value may have at most so many nodes, counted as often as they are referred to. */
const MAX_NODES = 10_000_000;
const MAX_LONG_BYTES = 256;
const MAX_GLOBAL_BYTES = 256;

const OP_NAMES = new Map<number, string>(Object.entries(OP).map(([name, code]) => [code, name]));

/**
 * The value of a pickle: null, booleans, numbers (bigint where a number is not exact), strings, arrays, `Tuple`, `Map`,
 * `OrderedDict`, `Set`, and what the given globals return. It is a finite tree: a value that contains itself, or grows
 * without measure by repetition, is refused.
 * @throws HysparkError `bad-file` where the bytes are no valid pickle, `unsupported` where they use a valid opcode or global that
 *   is not known here; the message names it
 */
export function readPickle(bytes: Uint8Array, options: UnpickleOptions): unknown {
  const value = new Unpickler(bytes, options).load();
  checkTree(value, options.file);
  return value;
}

function checkTree(root: unknown, file: string): void {
  const refuse = (got: string, code: ErrorCode = 'bad-file') => {
    throw new HysparkError(code, { doing: `reading the pickle of ${file}`, got });
  };
  // height and number of nodes of each container; undefined while it is being walked
  const known = new Map<object, { height: number; nodes: number } | undefined>();
  const walk = (value: unknown, depth: number): { height: number; nodes: number } => {
    if (value instanceof Opaque) refuse(`${value.name} where a value belongs`, 'unsupported');
    const children = childrenOf(value);
    if (!children) return { height: 0, nodes: 1 };
    const container = value as object;
    if (known.has(container) && !known.get(container)) refuse('a container that contains itself');
    let size = known.get(container);
    if (!size) {
      if (depth > MAX_DEPTH) refuse(`more than ${MAX_DEPTH} levels of containers`);
      known.set(container, undefined);
      size = { height: 0, nodes: 1 };
      for (const child of children) {
        const { height, nodes } = walk(child, depth + 1);
        size = { height: Math.max(size.height, height + 1), nodes: size.nodes + nodes };
      }
      known.set(container, size);
    }
    if (depth + size.height > MAX_DEPTH) refuse(`more than ${MAX_DEPTH} levels of containers`);
    if (size.nodes > MAX_NODES) refuse(`more than ${MAX_NODES} values by repetition`);
    return size;
  };
  walk(root, 0);
}

function childrenOf(value: unknown): Iterable<unknown> | undefined {
  if (value instanceof Map) return value.values(); // keys are never containers
  if (value instanceof Tuple) return value.items;
  return Array.isArray(value) ? value : undefined;
}

class Unpickler {
  private readonly bytes: Uint8Array;
  private readonly view: DataView;
  private readonly options: UnpickleOptions;
  private at = 0;
  private opcodeAt = 0;
  private stack: unknown[] = [];
  /** The stacks below each MARK. */
  private readonly marks: unknown[][] = [];
  private readonly memo = new Map<number, unknown>();
  /** Items that were copied into sets: a bound on the work that few bytes can ask for. */
  private copied = 0;

  constructor(bytes: Uint8Array, options: UnpickleOptions) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.options = options;
  }

  load(): unknown {
    if (this.uint(1) !== OP.PROTO) throw this.fail('no PROTO opcode at its start', 'a pickle of protocol 2 to 5');
    const protocol = this.uint(1);
    if (protocol < 2 || protocol > 5) throw this.fail(`protocol ${protocol}`, '2 to 5', 'unsupported');
    for (;;) {
      this.opcodeAt = this.at;
      const op = this.uint(1);
      if (op === OP.STOP) break;
      this.step(op);
    }
    const value = this.pop();
    if (this.stack.length + this.marks.length > 0) throw this.fail('values left on the stack at STOP');
    if (this.at !== this.bytes.length) throw this.fail(`${this.bytes.length - this.at} bytes behind STOP`);
    return value;
  }

  private step(op: number): void {
    const action = Unpickler.ACTIONS[op];
    if (action) {
      action(this);
      return;
    }
    const name = OP_NAMES.get(op);
    const code = `0x${op.toString(16).padStart(2, '0')}`;
    if (name) throw this.fail(`opcode ${name} (${code})`, 'containers and tensors only', 'unsupported');
    throw this.fail(`unknown opcode ${code}`);
  }

  private static readonly ACTIONS: Readonly<Record<number, (p: Unpickler) => void>> = {
    [OP.FRAME]: (p) => p.frame(),
    [OP.MARK]: (p) => p.mark(),
    [OP.POP]: (p) => (p.stack.length > 0 ? p.pop() : p.popMark()),
    [OP.POP_MARK]: (p) => p.popMark(),

    [OP.BINPUT]: (p) => p.put(p.uint(1)),
    [OP.LONG_BINPUT]: (p) => p.put(p.uint(4)),
    [OP.MEMOIZE]: (p) => p.put(p.memo.size),
    [OP.BINGET]: (p) => p.get(p.uint(1)),
    [OP.LONG_BINGET]: (p) => p.get(p.uint(4)),

    [OP.NONE]: (p) => p.push(null),
    [OP.NEWTRUE]: (p) => p.push(true),
    [OP.NEWFALSE]: (p) => p.push(false),
    [OP.BININT1]: (p) => p.push(p.uint(1)),
    [OP.BININT2]: (p) => p.push(p.uint(2)),
    [OP.BININT]: (p) => p.push(p.uint(4) | 0),
    [OP.LONG1]: (p) => p.push(p.long(p.uint(1))),
    [OP.LONG4]: (p) => p.push(p.long(p.uint(4))),
    [OP.BINFLOAT]: (p) => p.push(p.view.getFloat64(p.advance(8))), // big-endian, alone in this format
    [OP.SHORT_BINUNICODE]: (p) => p.push(p.text(p.uint(1))),
    [OP.BINUNICODE]: (p) => p.push(p.text(p.uint(4))),
    [OP.BINUNICODE8]: (p) => p.push(p.text(p.uint64())),

    [OP.EMPTY_TUPLE]: (p) => p.push(new Tuple([])),
    [OP.TUPLE1]: (p) => p.push(new Tuple(p.popMany(1))),
    [OP.TUPLE2]: (p) => p.push(new Tuple(p.popMany(2))),
    [OP.TUPLE3]: (p) => p.push(new Tuple(p.popMany(3))),
    [OP.TUPLE]: (p) => p.push(new Tuple(p.popMark())),
    [OP.EMPTY_LIST]: (p) => p.push([]),
    [OP.APPEND]: (p) => p.append(p.popMany(1)),
    [OP.APPENDS]: (p) => p.append(p.popMark()),
    [OP.EMPTY_DICT]: (p) => p.push(new Map()),
    [OP.SETITEM]: (p) => p.setItems(p.popMany(2)),
    [OP.SETITEMS]: (p) => p.setItems(p.popMark()),
    [OP.EMPTY_SET]: (p) => p.push(new Set()),
    [OP.ADDITEMS]: (p) => p.addItems(p.popMark()),
    [OP.FROZENSET]: (p) => p.push(p.set(p.popMark())),

    [OP.GLOBAL]: (p) => p.global(p.line(), p.line()),
    [OP.STACK_GLOBAL]: (p) => p.global(...(p.popMany(2) as [unknown, unknown])),
    [OP.BINPERSID]: (p) => p.push(p.options.persistent(p.pop())),
    [OP.REDUCE]: (p) => p.reduce(),
    [OP.BUILD]: (p) => p.build(),
  };

  private fail(got: string, need?: string, code: ErrorCode = 'bad-file'): HysparkError {
    const doing = `reading the pickle of ${this.options.file}`;
    return new HysparkError(code, { doing, got: `${got} (byte ${this.opcodeAt})`, need });
  }

  private advance(count: number): number {
    const start = this.at;
    if (count > this.bytes.length - start)
      throw this.fail(`an end at byte ${this.bytes.length}`, `${count} more bytes`);
    this.at += count;
    return start;
  }

  private uint(size: 1 | 2 | 4): number {
    const at = this.advance(size);
    if (size === 1) return this.bytes[at]!;
    return size === 2 ? this.view.getUint16(at, true) : this.view.getUint32(at, true);
  }

  private uint64(): number {
    return Number(this.view.getBigUint64(this.advance(8), true));
  }

  private text(length: number): string {
    const start = this.advance(length);
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(
        this.bytes.subarray(start, start + length),
      );
    } catch {
      throw this.fail('a string that is not UTF-8');
    }
  }

  private line(): string {
    const length = this.bytes.subarray(this.at, this.at + MAX_GLOBAL_BYTES).indexOf(0x0a);
    if (length < 0) throw this.fail('a GLOBAL without the end of its line');
    const text = this.text(length);
    this.advance(1);
    return text;
  }

  /** Two's complement, little-endian. */
  private long(length: number): number | bigint {
    if (length > MAX_LONG_BYTES) throw this.fail(`an integer of ${length} bytes`, `at most ${MAX_LONG_BYTES}`);
    const start = this.advance(length);
    let value = 0n;
    for (let i = length - 1; i >= 0; i--) value = (value << 8n) | BigInt(this.bytes[start + i]!);
    value = BigInt.asIntN(8 * length, value);
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : value;
  }

  private push(value: unknown): void {
    this.stack.push(value);
  }

  private pop(): unknown {
    if (this.stack.length === 0) throw this.underflow();
    return this.stack.pop();
  }

  private popMany(count: number): unknown[] {
    if (this.stack.length < count) throw this.underflow();
    return this.stack.splice(-count);
  }

  private top(): unknown {
    if (this.stack.length === 0) throw this.underflow();
    return this.stack[this.stack.length - 1];
  }

  private mark(): void {
    this.marks.push(this.stack);
    this.stack = [];
  }

  private popMark(): unknown[] {
    const below = this.marks.pop();
    if (!below) throw this.underflow();
    const items = this.stack;
    this.stack = below;
    return items;
  }

  private underflow(): HysparkError {
    return this.fail(`stack underflow at ${OP_NAMES.get(this.bytes[this.opcodeAt]!)}`);
  }

  /** A frame only says how much to read at once. */
  private frame(): void {
    if (this.uint64() > this.bytes.length - this.at) throw this.fail('a FRAME beyond the end', 'the whole pickle');
  }

  private put(index: number): void {
    this.memo.set(index, this.top());
  }

  private get(index: number): void {
    if (!this.memo.has(index)) throw this.fail(`memo entry ${index}`, 'one that was stored before');
    this.stack.push(this.memo.get(index));
  }

  private append(items: unknown[]): void {
    const list = this.top();
    if (!Array.isArray(list)) throw this.fail(`APPENDS to ${kindOf(list)}`, 'a list');
    for (const item of items) list.push(item);
  }

  private setItems(items: unknown[]): void {
    const map = this.top();
    if (!(map instanceof Map)) throw this.fail(`SETITEMS of ${kindOf(map)}`, 'a dictionary');
    if (items.length % 2 !== 0) throw this.fail('SETITEMS with a key without a value');
    for (let i = 0; i < items.length; i += 2) map.set(this.key(items[i]), items[i + 1]);
  }

  private addItems(items: unknown[]): void {
    const set = this.top();
    if (!(set instanceof Set)) throw this.fail(`ADDITEMS to ${kindOf(set)}`, 'a set');
    for (const item of items) set.add(this.key(item));
  }

  private key(value: unknown): PickleKey {
    if (typeof value === 'object' && value !== null)
      throw this.fail(`${kindOf(value)} as a key`, 'a string or a number', 'unsupported');
    return value as PickleKey;
  }

  private set(items: readonly unknown[]): Set<PickleKey> {
    this.copied += items.length;
    if (this.copied > MAX_NODES) throw this.fail(`more than ${MAX_NODES} items copied into sets`);
    return new Set(items.map((item) => this.key(item)));
  }

  private global(module: unknown, name: unknown): void {
    if (typeof module !== 'string' || typeof name !== 'string') throw this.fail('a global whose name is no string');
    const full = `${module}.${name}`;
    const known = BUILT_IN.get(full) ?? this.options.globals.get(full);
    if (!known)
      throw this.fail(
        `a reference to ${JSON.stringify(full.slice(0, 120))}`,
        'containers and tensors only',
        'unsupported',
      );
    this.stack.push(known);
  }

  private reduce(): void {
    const args = this.pop();
    const callee = this.pop();
    if (!(args instanceof Tuple)) throw this.fail(`REDUCE with ${kindOf(args)} for arguments`, 'a tuple');
    if (callee === ORDERED_DICT) {
      if (args.items.length > 0) throw this.fail('OrderedDict with arguments', 'none', 'unsupported');
      this.stack.push(new OrderedDict());
    } else if (callee === SET) {
      const list = args.items[0];
      if (args.items.length !== 1 || !Array.isArray(list)) throw this.fail('a set of something else', 'a list');
      this.stack.push(this.set(list));
    } else if (callee instanceof Callable) this.stack.push(callee.call(args.items));
    else throw this.fail(`a call of ${kindOf(callee)}`, 'a known function');
  }

  /** A state dict carries attributes (`_metadata`: module versions), which are no entries of it and are dropped. */
  private build(): void {
    const attributes = this.pop();
    if (!(this.top() instanceof OrderedDict) || !(attributes instanceof Map))
      throw this.fail(`BUILD of ${kindOf(this.top())}`, 'an OrderedDict', 'unsupported');
  }
}

const ORDERED_DICT = new Opaque('collections.OrderedDict');
const SET = new Opaque('set');
/** Protocol 2 spells `builtins` as Python 2 did. */
const BUILT_IN = new Map<string, Opaque>([
  ['collections.OrderedDict', ORDERED_DICT],
  ['__builtin__.set', SET],
  ['__builtin__.frozenset', SET],
  ['builtins.set', SET],
  ['builtins.frozenset', SET],
]);

/** What a value is, for a sentence. */
export function kindOf(value: unknown): string {
  if (value === null) return 'None';
  if (Array.isArray(value)) return 'a list';
  if (value instanceof Map) return 'a dictionary';
  if (value instanceof Set) return 'a set';
  if (value instanceof Tuple) return 'a tuple';
  if (value instanceof Opaque) return value.name;
  return typeof value === 'object' ? 'a tensor' : `a ${typeof value}`;
}

import { describe, expect, test } from 'vitest';
import { loadsOrRefuses, mutate, randomSource } from './fuzz.ts';
import { OP, OrderedDict, PyFloat, Tuple, writePickle } from './pickle.ts';
import { Callable, Opaque, readPickle } from './unpickle.ts';

const options = {
  globals: new Map<string, Opaque>([
    ['here.pair', new Callable('here.pair', (args) => [args[0] ?? null, args[1] ?? null])],
    ['here.Type', new Opaque('here.Type')],
  ]),
  persistent: (id: unknown) => `stored ${id}`,
  file: 'x.pth',
};
const noObjects = () => {
  throw new Error('no objects here');
};
const write = (value: unknown) => writePickle(value, noObjects);
const read = (bytes: Uint8Array) => readPickle(bytes, options);

/** A pickle from opcodes and bytes; text is inserted as UTF-8. */
function program(...parts: (number | string | number[])[]): Uint8Array {
  const encode = (part: number | string | number[]) =>
    typeof part === 'string' ? [...new TextEncoder().encode(part)] : [part].flat();
  return Uint8Array.from([OP.PROTO, 4, ...parts.flatMap(encode)]);
}
const short = (text: string) => [OP.SHORT_BINUNICODE, text.length, ...new TextEncoder().encode(text)];

describe('writing and reading', () => {
  test.each<[string, unknown]>([
    ['None and booleans', [null, true, false]],
    [
      'integers at every width',
      [0, 255, 256, 65535, 65536, -1, 2 ** 31 - 1, -(2 ** 31), 2 ** 31, -(2 ** 31) - 1, 2 ** 53 - 1],
    ],
    ['integers beyond doubles', [2n ** 63n, -(2n ** 64n), 2n ** 200n + 1n]],
    ['floats', [0.5, -0, Number.NaN, Infinity, 5e-324, 1e300]],
    ['strings', ['', 'größe 😀', '\ufeffmark', '__proto__']],
    ['lists and tuples', [[], [[1]], new Tuple([]), new Tuple([1, new Tuple(['a'])]), new Tuple([1, 2, 3, 4])]],
    [
      'dictionaries',
      new Map<unknown, unknown>([
        ['a', new Map()],
        [1, 'int'],
        ['1', 'text'],
        ['__proto__', null],
      ]),
    ],
    [
      'ordered dictionaries',
      new OrderedDict<unknown>([
        ['z', [1]],
        ['a', new OrderedDict()],
      ]),
    ],
  ])('%s', (_, value) => {
    const back = read(write(value));
    expect(back).toStrictEqual(value);
    expect(back?.constructor).toBe((value as object).constructor);
  });

  test('a whole float keeps its type in the file', () => {
    expect([...write(new PyFloat(1))]).toEqual([OP.PROTO, 2, OP.BINFLOAT, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0, OP.STOP]);
    expect(read(write(new PyFloat(1)))).toBe(1);
  });

  test('a value that contains itself is not written', () => {
    const loop: unknown[] = [];
    loop.push(loop);
    expect(() => write(loop)).toThrow('more than 100 levels');
  });
});

describe('opcodes of other writers', () => {
  test.each<[string, Uint8Array, unknown]>([
    [
      'frames, memo, short strings',
      program(OP.FRAME, [9, 0, 0, 0, 0, 0, 0, 0], short('ab'), OP.MEMOIZE, OP.BINGET, 0, OP.TUPLE2, OP.STOP),
      new Tuple(['ab', 'ab']),
    ],
    [
      'LONG1 zero bytes, LONG4',
      program(OP.LONG1, 0, OP.LONG4, [2, 0, 0, 0], [0, 255], OP.TUPLE2, OP.STOP),
      new Tuple([0, -256]),
    ],
    ['BINUNICODE8', program(OP.BINUNICODE8, [1, 0, 0, 0, 0, 0, 0, 0], 'a', OP.STOP), 'a'],
    [
      'LONG_BINPUT, LONG_BINGET',
      program(OP.EMPTY_LIST, OP.LONG_BINPUT, [0, 1, 0, 0], OP.LONG_BINGET, [0, 1, 0, 0], OP.POP, OP.STOP),
      [],
    ],
    [
      'APPEND, SETITEM',
      program(OP.EMPTY_LIST, OP.EMPTY_DICT, OP.NONE, OP.NEWTRUE, OP.SETITEM, OP.APPEND, OP.STOP),
      [new Map([[null, true]])],
    ],
    [
      'sets',
      program(
        OP.EMPTY_SET,
        OP.MARK,
        OP.BININT1,
        3,
        OP.ADDITEMS,
        OP.MARK,
        OP.BININT1,
        4,
        OP.FROZENSET,
        OP.TUPLE2,
        OP.STOP,
      ),
      new Tuple([new Set([3]), new Set([4])]),
    ],
    [
      'sets of protocol 2',
      program(OP.GLOBAL, '__builtin__\nset\n', OP.EMPTY_LIST, OP.NONE, OP.APPEND, OP.TUPLE1, OP.REDUCE, OP.STOP),
      new Set([null]),
    ],
    ['POP_MARK', program(OP.NONE, OP.MARK, OP.NEWTRUE, OP.POP_MARK, OP.STOP), null],
    ['POP of a mark', program(OP.NONE, OP.MARK, OP.POP, OP.STOP), null],
    [
      'STACK_GLOBAL and a call',
      program(short('here'), short('pair'), OP.STACK_GLOBAL, OP.NONE, OP.TUPLE1, OP.REDUCE, OP.STOP),
      [null, null],
    ],
    ['a persistent reference', program(short('k'), OP.BINPERSID, OP.STOP), 'stored k'],
    [
      'attributes of an OrderedDict',
      program(OP.GLOBAL, 'collections\nOrderedDict\n', OP.EMPTY_TUPLE, OP.REDUCE, OP.EMPTY_DICT, OP.BUILD, OP.STOP),
      new OrderedDict(),
    ],
  ])('%s', (_, bytes, value) => expect(read(bytes)).toStrictEqual(value));
});

/** Lists of two references to the one before: 2^levels values in a few hundred bytes. */
const doubling = (levels: number) =>
  program(
    OP.EMPTY_LIST,
    OP.MEMOIZE,
    Array.from({ length: levels }, (_, i) => [
      OP.EMPTY_LIST,
      OP.MARK,
      OP.BINGET,
      i,
      OP.BINGET,
      i,
      OP.APPENDS,
      OP.MEMOIZE,
    ]).flat(),
    OP.STOP,
  ); // leaves the lower lists on the stack

describe('refused', () => {
  const nested = (levels: number) =>
    program(Array(levels).fill(OP.EMPTY_LIST), Array(levels - 1).fill(OP.APPEND), OP.STOP);
  test.each<[string, string, string, Uint8Array]>([
    ['nothing', 'bad-file', 'an end at byte 0', new Uint8Array()],
    ['no protocol', 'bad-file', 'no PROTO', Uint8Array.of(OP.NONE, OP.STOP)],
    ['protocol 1', 'unsupported', 'protocol 1', Uint8Array.of(OP.PROTO, 1, OP.NONE, OP.STOP)],
    ['protocol 6', 'unsupported', 'protocol 6', Uint8Array.of(OP.PROTO, 6, OP.NONE, OP.STOP)],
    ['no STOP', 'bad-file', 'an end at byte 3', program(OP.NONE)],
    ['bytes behind STOP', 'bad-file', '1 bytes behind STOP', program(OP.NONE, OP.STOP, 0)],
    ['leftovers on the stack', 'bad-file', 'left on the stack', program(OP.NONE, OP.NONE, OP.STOP)],
    ['an open mark', 'bad-file', 'left on the stack', program(OP.MARK, OP.NONE, OP.STOP)],
    ['an unknown opcode', 'bad-file', 'unknown opcode 0xff (byte 2)', program(0xff)],
    ['INST', 'unsupported', 'opcode INST (0x69) (byte 3)', program(OP.MARK, OP.INST, 'os\nsystem\n')],
    ['OBJ', 'unsupported', 'opcode OBJ', program(OP.MARK, OP.OBJ)],
    ['NEWOBJ', 'unsupported', 'opcode NEWOBJ', program(OP.NEWOBJ)],
    ['EXT1', 'unsupported', 'opcode EXT1', program(OP.EXT1, 1)],
    ['NEXT_BUFFER', 'unsupported', 'opcode NEXT_BUFFER', program(OP.NEXT_BUFFER)],
    ['bytes', 'unsupported', 'opcode SHORT_BINBYTES', program(OP.SHORT_BINBYTES, 0)],
    ['a system call', 'unsupported', '"posix.system"', program(OP.GLOBAL, 'posix\nsystem\n')],
    [
      'a system call by stack',
      'unsupported',
      '"builtins.eval"',
      program(short('builtins'), short('eval'), OP.STACK_GLOBAL),
    ],
    ['an inherited property', 'unsupported', '"here.constructor"', program(OP.GLOBAL, 'here\nconstructor\n')],
    ['a global that is no name', 'bad-file', 'name is no string', program(OP.NONE, OP.NONE, OP.STACK_GLOBAL)],
    ['an endless global', 'bad-file', 'without the end of its line', program(OP.GLOBAL, 'a'.repeat(1000))],
    ['underflow at POP', 'bad-file', 'stack underflow at POP', program(OP.POP)],
    ['underflow at STOP', 'bad-file', 'stack underflow at STOP', program(OP.STOP)],
    ['underflow at TUPLE2', 'bad-file', 'stack underflow at TUPLE2', program(OP.NONE, OP.TUPLE2)],
    ['underflow below a mark', 'bad-file', 'stack underflow at BINPUT', program(OP.NONE, OP.MARK, OP.BINPUT, 0)],
    ['TUPLE without a mark', 'bad-file', 'stack underflow at TUPLE', program(OP.TUPLE)],
    ['an absent memo entry', 'bad-file', 'memo entry 7', program(OP.BINGET, 7)],
    ['a string beyond the end', 'bad-file', '4294967295 more bytes', program(OP.BINUNICODE, [255, 255, 255, 255])],
    ['a giant string', 'bad-file', 'more bytes', program(OP.BINUNICODE8, Array(8).fill(255))],
    ['a string of no UTF-8', 'bad-file', 'not UTF-8', program(OP.SHORT_BINUNICODE, 1, 0xff)],
    ['a giant integer', 'bad-file', 'an integer of 65536 bytes', program(OP.LONG4, [0, 0, 1, 0], Array(65536).fill(1))],
    [
      'a frame beyond the end',
      'bad-file',
      'a FRAME beyond',
      program(OP.FRAME, [9, 0, 0, 0, 0, 0, 0, 0], OP.NONE, OP.STOP),
    ],
    ['APPEND to a dictionary', 'bad-file', 'to a dictionary', program(OP.EMPTY_DICT, OP.NONE, OP.APPEND)],
    ['SETITEM of a list', 'bad-file', 'of a list', program(OP.EMPTY_LIST, OP.NONE, OP.NONE, OP.SETITEM)],
    ['ADDITEMS to a list', 'bad-file', 'to a list', program(OP.EMPTY_LIST, OP.MARK, OP.ADDITEMS)],
    ['a key without a value', 'bad-file', 'key without a value', program(OP.EMPTY_DICT, OP.MARK, OP.NONE, OP.SETITEMS)],
    ['a list as key', 'unsupported', 'a list as a key', program(OP.EMPTY_DICT, OP.EMPTY_LIST, OP.NONE, OP.SETITEM)],
    ['BUILD of a list', 'unsupported', 'BUILD of a list', program(OP.EMPTY_LIST, OP.EMPTY_DICT, OP.BUILD)],
    [
      'a call of a type',
      'bad-file',
      'a call of here.Type',
      program(OP.GLOBAL, 'here\nType\n', OP.EMPTY_TUPLE, OP.REDUCE),
    ],
    ['a call of a list', 'bad-file', 'a call of a list', program(OP.EMPTY_LIST, OP.EMPTY_TUPLE, OP.REDUCE)],
    ['arguments that are no tuple', 'bad-file', 'REDUCE with None', program(OP.NONE, OP.NONE, OP.REDUCE)],
    [
      'OrderedDict of pairs',
      'unsupported',
      'OrderedDict with arguments',
      program(OP.GLOBAL, 'collections\nOrderedDict\n', OP.EMPTY_LIST, OP.TUPLE1, OP.REDUCE),
    ],
    [
      'a class as the result',
      'unsupported',
      'here.Type where a value belongs',
      program(OP.GLOBAL, 'here\nType\n', OP.STOP),
    ],
    [
      'a function inside',
      'unsupported',
      'here.pair where',
      program(OP.EMPTY_LIST, OP.GLOBAL, 'here\npair\n', OP.APPEND, OP.STOP),
    ],
    [
      'a list in itself',
      'bad-file',
      'contains itself',
      program(OP.EMPTY_LIST, OP.MEMOIZE, OP.BINGET, 0, OP.APPEND, OP.STOP),
    ],
    ['deep nesting', 'bad-file', 'more than 100 levels', nested(102)],
    ['very deep nesting', 'bad-file', 'more than 100 levels', nested(1_000_000)],
  ])('%s', (_, code, message, bytes) => {
    expect(() => read(bytes)).toThrow(expect.objectContaining({ code, message: expect.stringContaining(message) }));
  });

  test('as deep as allowed is read', () => expect(read(nested(101))).toBeInstanceOf(Array));

  test('a value that doubles with every level', () => {
    const bytes = doubling(60);
    const collected = Uint8Array.from([OP.PROTO, 4, OP.MARK, ...bytes.subarray(2, -1), OP.TUPLE, OP.STOP]);
    expect(() => read(collected)).toThrow('values by repetition');
  });

  test('one long list turned into a set over and over', () => {
    const call = [OP.BINGET, 0, OP.BINGET, 1, OP.TUPLE1, OP.REDUCE, OP.POP];
    const list = [OP.EMPTY_LIST, OP.MARK, ...Array(50_000).fill(OP.NONE), OP.APPENDS, OP.BINPUT, 1];
    const bytes = program(OP.GLOBAL, 'builtins\nset\n', OP.BINPUT, 0, list, Array(2000).fill(call).flat(), OP.STOP);
    expect(() => read(bytes)).toThrow('copied into sets');
  });
});

test('40 000 mutated and random pickles load or are refused with a typed error', async () => {
  const random = randomSource(11);
  const value = new Map<string, unknown>([
    ['epoch', 3],
    ['best', new Tuple([0.5, -7, 2n ** 70n])],
    ['names', ['a', 'bc', null, true]],
    ['state', new OrderedDict<unknown>([['w', new Map([[1, [[]]]])]])],
  ]);
  const protocol4 = program(
    OP.EMPTY_SET,
    OP.MEMOIZE,
    OP.MARK,
    short('ab'),
    OP.MEMOIZE,
    OP.ADDITEMS,
    short('here'),
    short('pair'),
    OP.STACK_GLOBAL,
    OP.BINGET,
    1,
    OP.LONG1,
    1,
    5,
    OP.TUPLE2,
    OP.REDUCE,
    OP.TUPLE2,
    OP.STOP,
  );
  let loaded = 0;
  for (const good of [write(value), protocol4])
    for (let i = 0; i < 10_000; i++) if (await loadsOrRefuses(() => read(mutate(good, random)))) loaded++;
  expect(loaded).toBeGreaterThan(500);
  expect(loaded).toBeLessThan(15_000);

  // random programs of opcodes that are known, so that they get further than the first byte
  const known = Object.values(OP).filter((op) => ![OP.STOP, OP.FRAME].some((other) => other === op));
  for (let i = 0; i < 20_000; i++) {
    const body = Array.from({ length: 1 + random(40) }, () => (random(4) ? known[random(known.length)]! : random(256)));
    await loadsOrRefuses(() => read(program(OP.EMPTY_LIST, OP.NONE, OP.EMPTY_TUPLE, OP.MARK, body, OP.STOP)));
  }
});

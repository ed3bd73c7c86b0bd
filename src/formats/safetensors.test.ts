import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { concatChunks } from './bytes.ts';
import { loadsOrRefuses, mutate, randomSource } from './fuzz.ts';
import { openSafetensors, readSafetensors, writeSafetensors } from './safetensors.ts';
import { DTYPES, type HostTensor, itemSize, toFloat32, viewAs } from './tensor.ts';

/** One tensor of every element type, with sizes that leave the next one unaligned if they were written in this order. */
function everyDtype(): Map<string, HostTensor> {
  const random = randomSource(7);
  return new Map(
    DTYPES.map((dtype, i) => {
      const bytes = Uint8Array.from({ length: (2 * i + 1) * 3 * itemSize(dtype) }, () => random(256));
      return [`layer.${i}.${dtype}`, { dtype, shape: [2 * i + 1, 3], data: viewAs(dtype, bytes) }];
    }),
  );
}

const bytesIn = (data: ArrayBufferView) => Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('hex');

/** A file from a header and a number of data bytes. */
function fileOf(header: unknown, dataBytes = 0): Uint8Array {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return new Uint8Array(Buffer.concat([length, json, Buffer.alloc(dataBytes)]));
}

describe('writing and reading', () => {
  test('every element type comes back bit for bit, as views into the file', async () => {
    const tensors = everyDtype();
    const metadata = { step: '12', text: 'größer "quoted"\n', __proto__x: '' };
    const bytes = await concatChunks(writeSafetensors(tensors, metadata));
    const back = readSafetensors(bytes);
    expect({ ...back.metadata }).toEqual(metadata);
    expect([...back.tensors.keys()].sort()).toEqual([...tensors.keys()].sort());
    for (const [name, { dtype, shape, data }] of tensors) {
      const tensor = back.tensors.get(name)!;
      expect(tensor).toMatchObject({ dtype, shape });
      expect(tensor.data.constructor).toBe(data.constructor);
      expect(bytesIn(tensor.data)).toBe(bytesIn(data));
      expect(tensor.data.buffer).toBe(bytes.buffer);
    }
  });

  test('the same from a Blob, one tensor at a time', async () => {
    const tensors = everyDtype();
    const blob = new Blob([await concatChunks(writeSafetensors(tensors, { a: 'b' }))]);
    const index = await openSafetensors(blob);
    expect({ ...index.metadata }).toEqual({ a: 'b' });
    expect(index.specs.size).toBe(tensors.size);
    for (const [name, { data }] of tensors) expect(bytesIn((await index.tensor(name)).data)).toBe(bytesIn(data));
    await expect(index.tensor('absent')).rejects.toThrow('tensor name "absent"');
  });

  test('equal content gives equal bytes whatever the order of insertion; data start at a multiple of 8', async () => {
    const tensors = everyDtype();
    const a = await concatChunks(writeSafetensors(tensors, { x: '1', y: '2' }));
    const b = await concatChunks(writeSafetensors(new Map([...tensors].reverse()), { y: '2', x: '1' }));
    expect(bytesIn(a)).toBe(bytesIn(b));
    expect(new DataView(a.buffer).getUint32(0, true) % 8).toBe(0);
  });

  test('names that mean something to JavaScript, scalars, empty tensors and an empty file', async () => {
    const scalar: HostTensor = { dtype: 'I64', shape: [], data: BigInt64Array.of(-5n) };
    const empty: HostTensor = { dtype: 'F32', shape: [0, 3], data: new Float32Array() };
    const tensors = new Map([
      ['__proto__', scalar],
      ['10', scalar],
      ['9', empty],
      ['constructor', empty],
    ]);
    const back = readSafetensors(await concatChunks(writeSafetensors(tensors)));
    expect(new Map([...back.tensors].sort())).toEqual(new Map([...tensors].sort()));
    expect(readSafetensors(await concatChunks(writeSafetensors(new Map()))).tensors.size).toBe(0);
  });

  test('a tensor given as a function is asked for once, in its turn', async () => {
    const asked: string[] = [];
    const source = (name: string, value: number) => ({
      dtype: 'F32' as const,
      shape: [1],
      data: async () => {
        asked.push(name);
        return Float32Array.of(value);
      },
    });
    const chunks = writeSafetensors(
      new Map([
        ['b', source('b', 2)],
        ['a', source('a', 1)],
      ]),
    );
    await chunks.next();
    expect(asked).toEqual([]);
    expect(bytesIn((await chunks.next()).value)).toBe('0000803f');
    expect(asked).toEqual(['a']);
  });

  test.each<[string, Map<string, HostTensor>, string]>([
    ['too few elements', new Map([['w', { dtype: 'F32', shape: [2], data: new Float32Array(1) }]]), 'tensor "w"'],
    ['another array type', new Map([['w', { dtype: 'F32', shape: [1], data: new Int32Array(1) }]]), 'Int32Array'],
    ['a negative size', new Map([['w', { dtype: 'F32', shape: [-1], data: new Float32Array(1) }]]), 'shape [-1]'],
    ['the reserved name', new Map([['__metadata__', { dtype: 'U8', shape: [], data: new Uint8Array(1) }]]), 'reserved'],
  ])('refuses to write %s', async (_, tensors, message) => {
    await expect(concatChunks(writeSafetensors(tensors))).rejects.toThrow(message);
  });
});

describe('damaged files', () => {
  const entry = (offsets: unknown, dtype: unknown = 'F32', shape: unknown = [2]) => ({
    dtype,
    shape,
    data_offsets: offsets,
  });
  test.each<[string, Uint8Array, string]>([
    ['nothing', new Uint8Array(), '0 bytes'],
    ['a header beyond the end', fileOf({}).subarray(0, 9), 'truncated'],
    ['a giant header', new Uint8Array(9).fill(255), 'header of 18446744073709552000 bytes'],
    ['no JSON', fileOf('{"a":'), 'not JSON'],
    ['invalid UTF-8', Uint8Array.of(4, 0, 0, 0, 0, 0, 0, 0, 0x7b, 0xff, 0xff, 0x7d), 'not JSON'],
    ['a deep header', fileOf('['.repeat(1_000_000)), 'not JSON'],
    ['a header that is a list', fileOf('[]'), 'no JSON object'],
    ['an entry that is a number', fileOf({ w: 3 }), '"w" that is no object'],
    ['metadata that is no text', fileOf({ __metadata__: { step: 3 } }), 'metadata "step" of type number'],
    ['an unknown dtype', fileOf({ w: entry([0, 8], 'F7') }, 8), '"w" of dtype "F7"'],
    ['an inherited name as dtype', fileOf({ w: entry([0, 8], 'toString') }, 8), 'dtype "toString"'],
    ['a negative size', fileOf({ w: entry([0, 8], 'F32', [-2]) }, 8), '"w" of shape [-2]'],
    ['a product beyond exact integers', fileOf({ w: entry([0, 8], 'F32', [2 ** 40, 2 ** 40]) }, 8), '"w" of shape'],
    ['offsets that are text', fileOf({ w: entry(['0', '8']) }, 8), '"w" with data_offsets'],
    ['no offsets', fileOf({ w: { dtype: 'F32', shape: [2] } }, 8), '"w" with data_offsets undefined'],
    ['offsets in reverse', fileOf({ w: entry([8, 0]) }, 8), '"w" over -8 bytes'],
    ['too few bytes for the shape', fileOf({ w: entry([0, 4]) }, 4), '"w" over 4 bytes'],
    ['overlapping tensors', fileOf({ v: entry([0, 8]), w: entry([4, 12]) }, 12), '"w" from byte'],
    ['a gap', fileOf({ v: entry([0, 8]), w: entry([12, 20]) }, 20), 'a gap'],
    ['a tensor beyond the end', fileOf({ v: entry([0, 8]), w: entry([8, 16]) }, 12), '"w" up to byte'],
    ['bytes behind the last tensor', fileOf({ w: entry([0, 8]) }, 9), '1 bytes behind'],
  ])('%s', async (_, bytes, message) => {
    const refusal = expect.objectContaining({ code: 'bad-file', message: expect.stringContaining(message) });
    expect(() => readSafetensors(bytes, 'x.safetensors')).toThrow(refusal);
    await expect(openSafetensors(new Blob([bytes.slice()]), 'x.safetensors')).rejects.toThrow(refusal);
  });

  test('a message quotes no more than a line of the file', () => {
    const bytes = fileOf({ ['w'.repeat(100_000)]: entry([0, 8], 'F32', Array(100_000).fill(3)) }, 8);
    expect(() => readSafetensors(bytes)).toThrow(
      expect.objectContaining({ message: expect.stringMatching(/^.{100,400}$/) }),
    );
  });

  test('20 000 mutated files load or are refused with a typed error', async () => {
    const tensors = new Map([...everyDtype()].slice(0, 4));
    const good = await concatChunks(writeSafetensors(tensors, { step: '1' }));
    const random = randomSource(1);
    let loaded = 0;
    for (let i = 0; i < 20_000; i++) {
      const bytes = mutate(good, random);
      if (await loadsOrRefuses(() => readSafetensors(bytes))) loaded++;
    }
    expect(loaded).toBeGreaterThan(1000); // changed data bytes are still a valid file
    expect(loaded).toBeLessThan(19_000);
    for (let end = 0; end < good.length; end++)
      expect(await loadsOrRefuses(() => readSafetensors(good.subarray(0, end)))).toBe(false);
  });
});

describe('conversion to float32', () => {
  test('half precision, all 65 536 values against their definition', () => {
    const bits = Uint16Array.from({ length: 65536 }, (_, i) => i);
    const values = toFloat32({ dtype: 'F16', shape: [65536], data: bits });
    expect([values[0x3c00], values[0xc000], values[0x7bff], values[0x0400], values[1]]).toEqual([
      1,
      -2,
      65504,
      2 ** -14,
      2 ** -24,
    ]);
    expect([values[0x7c00], values[0xfc00], values[0x7e00]]).toEqual([Infinity, -Infinity, NaN]);
    expect(Object.is(values[0x8000], -0)).toBe(true);
    let wrong = 0; // magnitudes grow with the bits, and the upper half is the lower one negated
    for (let i = 1; i < 0x7c01; i++) if (!(values[i]! > values[i - 1]!) || values[i + 0x8000] !== -values[i]!) wrong++;
    expect(wrong).toBe(0);
  });

  test('bfloat16 is the upper half of a float32; integers and doubles are rounded', () => {
    const of = (dtype: HostTensor['dtype'], data: HostTensor['data']) => [
      ...toFloat32({ dtype, shape: [data.length], data }),
    ];
    expect(of('BF16', Uint16Array.of(0x3f80, 0xc049, 0x7f80, 0x8000))).toEqual([1, -3.140625, Infinity, -0]);
    expect(of('I64', BigInt64Array.of(-3n, 16777217n))).toEqual([-3, 16777216]);
    expect(of('F64', Float64Array.of(0.1))).toEqual([Math.fround(0.1)]);
    expect(of('BOOL', Uint8Array.of(0, 1))).toEqual([0, 1]);
  });
});

const golden = '../shared/golden';
describe.skipIf(!existsSync(golden))(`files of ${golden} (skipped where it is absent)`, () => {
  test('every file reads, and its tensors have the sizes of their shapes', () => {
    const files = readdirSync(golden).filter((name) => name.endsWith('.safetensors'));
    expect(files.length).toBeGreaterThan(0);
    for (const name of files) {
      const { tensors } = readSafetensors(new Uint8Array(readFileSync(`${golden}/${name}`)), name);
      expect(tensors.size).toBeGreaterThan(0);
      for (const { shape, data } of tensors.values()) expect(data.length).toBe(shape.reduce((a, b) => a * b, 1));
    }
  });
});

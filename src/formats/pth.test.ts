import { describe, expect, test } from 'vitest';
import { concatChunks } from './bytes.ts';
import { loadsOrRefuses, mutate, randomSource } from './fuzz.ts';
import { Call, GlobalRef, PersistentId, writePickle } from './pickle.ts';
import { asStateDict, OrderedDict, type PthInput, PyFloat, readPth, Tuple, writePth } from './pth.ts';
import { type Dtype, type HostTensor, itemSize, viewAs } from './tensor.ts';
import { readZip, writeZip } from './zip.ts';

const f32 = (shape: number[], ...values: number[]): HostTensor => ({
  dtype: 'F32',
  shape,
  data: Float32Array.of(...values),
});
const write = (value: PthInput) => concatChunks(writePth(value));
const roundTrip = async (value: PthInput) => readPth(await write(value));

/** An archive of these records, all of them text or bytes. */
function archive(content: Record<string, Uint8Array<ArrayBuffer> | string>): Promise<Uint8Array<ArrayBuffer>> {
  const records = Object.entries(content).map(([name, value]) => {
    const data = typeof value === 'string' ? new TextEncoder().encode(value) : value;
    return { name, size: data.length, data: () => data };
  });
  return concatChunks(writeZip(records));
}

/** A file around a pickle, with one storage of four floats: 1, 2, 3, 4. */
const around = (value: unknown) =>
  archive({
    'x/data.pkl': writePickle(value, (object) => object),
    'x/data/0': new Uint8Array(Float32Array.of(1, 2, 3, 4).buffer),
  });
const storage = (count: unknown = 4, type = 'FloatStorage', key: unknown = '0') =>
  new PersistentId(new Tuple(['storage', new GlobalRef('torch', type), key, 'cpu', count]));
const rebuild = (...args: unknown[]) => new Call(new GlobalRef('torch._utils', '_rebuild_tensor_v2'), args);
const strided = (offset: unknown, shape: unknown[], stride: unknown[], from: unknown = storage()) =>
  rebuild(from, offset, new Tuple(shape), new Tuple(stride), false, null);

describe('writing and reading', () => {
  test('tensors of every element type come back bit for bit, as views into the file', async () => {
    const random = randomSource(5);
    const dtypes: Dtype[] = ['F64', 'F32', 'F16', 'BF16', 'I64', 'I32', 'I16', 'I8', 'U8', 'BOOL'];
    const tensors = new Map(
      dtypes.map((dtype, i): [string, HostTensor] => {
        const bytes = Uint8Array.from({ length: 3 * (i + 1) * itemSize(dtype) }, () => random(256));
        return [`${dtype}.weight`, { dtype, shape: [i + 1, 3], data: viewAs(dtype, bytes) }];
      }),
    );
    const bytes = await write(new OrderedDict(tensors));
    const back = asStateDict(readPth(bytes));
    expect(back).toStrictEqual(new OrderedDict(tensors));
    for (const { data } of back.values()) expect(data.buffer).toBe(bytes.buffer);
    expect(await write(new OrderedDict(tensors))).toEqual(bytes);
  });

  test('a training checkpoint: nested containers, options, scalars, empty tensors', async () => {
    const value = new Map<string, PthInput>([
      ['epoch', 7],
      ['args', 'größe=96'],
      [
        'module',
        new OrderedDict<PthInput>([
          ['w', f32([2, 1], 1, 2)],
          ['n', { dtype: 'I64', shape: [], data: BigInt64Array.of(9n) }],
        ]),
      ],
      [
        'optimizer',
        new Map<string, PthInput>([
          ['state', new Map([[0, new Map([['exp_avg', f32([2, 0, 3])]])]])],
          [
            'param_groups',
            [
              new Map<string, PthInput>([
                ['lr', 1e-4],
                ['betas', new Tuple([0.9, 0.999])],
                ['params', [0, 1]],
                ['fused', null],
                ['eps', 1e-8],
              ]),
            ],
          ],
        ]),
      ],
      ['is_pretrain', true],
    ]);
    expect(await roundTrip(value)).toStrictEqual(value);
    expect(await roundTrip(new Map([['decay', new PyFloat(0)]]))).toStrictEqual(new Map([['decay', 0]]));
  });

  test('tensors over one array share one storage, in the file and when read', async () => {
    const data = Float32Array.of(1, 2);
    const bytes = await write([
      { dtype: 'F32', shape: [2], data },
      { dtype: 'F32', shape: [1, 2], data },
    ]);
    expect([...readZip(bytes).keys()].filter((name) => name.includes('/data/'))).toEqual(['archive/data/0']);
    const [a, b] = readPth(bytes) as HostTensor[];
    a!.data[0] = 5;
    expect(b).toEqual(f32([1, 2], 5, 2));
  });

  test('one array under two element types is stored twice', async () => {
    const data = Uint8Array.of(0, 1);
    const tensors = (['U8', 'BOOL', 'U8'] as const).map((dtype) => ({ dtype, shape: [2], data }));
    expect(await roundTrip(tensors)).toEqual(tensors);
  });

  test.each<[string, PthInput, string, string]>([
    ['too few elements', new Map([['w', f32([3], 1, 2)]]), 'bad-shape', 'tensor "w"'],
    [
      'the wrong array',
      new Map([['m', new Map([['w', { dtype: 'F32', shape: [1], data: Int32Array.of(1) }]])]]),
      'bad-shape',
      '"m.w"',
    ],
    ['a shape that is none', [f32([-1])], 'bad-shape', 'shape [-1]'],
    [
      'an element type that PyTorch cannot store',
      [{ dtype: 'U16', shape: [0], data: new Uint16Array() }],
      'unsupported',
      'U16',
    ],
    ['an object', [{ lr: 1 }] as unknown as PthInput, 'bad-argument', 'type object'],
    ['undefined', [undefined] as unknown as PthInput, 'bad-argument', 'type undefined'],
    ['4 GiB', [{ dtype: 'F32', shape: [2 ** 30], data: () => new Float32Array() }], 'unsupported', 'less than 4 GiB'],
  ])('refuses to write %s', async (_, value, code, message) => {
    await expect(write(value)).rejects.toMatchObject({ code, message: expect.stringContaining(message) });
  });

  test('asStateDict names the first entry that is no tensor', async () => {
    const value = await roundTrip(
      new Map<string, PthInput>([
        ['w', f32([0])],
        ['epoch', 3],
      ]),
    );
    expect(() => asStateDict(value)).toThrow('entry "epoch": a number');
    expect(() => asStateDict([])).toThrow('got a list, need a state dict');
  });
});

describe('tensors as PyTorch may describe them', () => {
  test.each<[string, unknown, HostTensor]>([
    ['transposed', strided(0, [2, 2], [1, 2]), f32([2, 2], 1, 3, 2, 4)],
    ['a slice', strided(1, [2], [1]), f32([2], 2, 3)],
    ['every second element', strided(0, [2], [2]), f32([2], 1, 3)],
    ['expanded', strided(3, [2, 2], [0, 0]), f32([2, 2], 4, 4, 4, 4)],
    ['a permuted cube with an axis of one', strided(0, [2, 1, 2], [1, 9, 2]), f32([2, 1, 2], 1, 3, 2, 4)],
    ['an odd stride on an axis of one', strided(0, [1, 4], [77, 1]), f32([1, 4], 1, 2, 3, 4)],
    ['a scalar', strided(2, [], []), f32([], 3)],
    ['empty', strided(9, [0, 5], [5, 1]), f32([0, 5])],
    [
      'a parameter',
      new Call(new GlobalRef('torch._utils', '_rebuild_parameter'), [strided(0, [1], [1]), true, null]),
      f32([1], 1),
    ],
    [
      'a torch.Size for a shape',
      rebuild(storage(), 0, new Call(new GlobalRef('torch', 'Size'), [new Tuple([1])]), new Tuple([1])),
      f32([1], 1),
    ],
  ])('%s', async (_, value, tensor) => expect(readPth(await around(value))).toStrictEqual(tensor));

  test.each<[string, string, string, unknown]>([
    ['elements beyond the storage', 'bad-file', 'shape [5] up to element 4 of storage "0"', strided(0, [5], [1])],
    ['a stride beyond the storage', 'bad-file', 'up to element 4', strided(0, [2, 2], [3, 1])],
    ['an offset beyond the storage', 'bad-file', 'up to element 4', strided(4, [], [])],
    ['a negative size', 'bad-file', 'the shape of a tensor', strided(0, [-1], [1])],
    ['a negative stride', 'bad-file', 'the strides of a tensor', strided(0, [2], [-1])],
    ['a fractional offset', 'bad-file', 'the offset of a tensor', strided(0.5, [2], [1])],
    ['more sizes than PyTorch has', 'bad-file', 'at most 64 sizes', strided(0, Array(65).fill(1), Array(65).fill(1))],
    ['sizes whose product overflows', 'bad-file', 'a tensor of shape', strided(0, [2 ** 40, 2 ** 40], [0, 0])],
    ['fewer strides than sizes', 'bad-file', 'strides [1]', strided(0, [2, 2], [1])],
    ['one element expanded to terabytes', 'bad-file', 'without measure', strided(0, [2 ** 40], [0])],
    ['no storage', 'bad-file', 'a tensor made of None', strided(0, [1], [1], null)],
    [
      'a storage of the wrong size',
      'bad-file',
      'storage "0" of 16 bytes, need 5 elements of F32',
      strided(0, [1], [1], storage(5)),
    ],
    [
      'a storage of the wrong type',
      'bad-file',
      'need 4 elements of F64',
      strided(0, [1], [1], storage(4, 'DoubleStorage')),
    ],
    [
      'one storage under two types',
      'bad-file',
      'storage "0" as 4 of I32',
      [strided(0, [1], [1]), strided(0, [1], [1], storage(4, 'IntStorage'))],
    ],
    [
      'a storage without a record',
      'bad-file',
      'storage "1" without a record',
      strided(0, [1], [1], storage(4, 'FloatStorage', '1')),
    ],
    [
      'a complex storage',
      'unsupported',
      '"torch.ComplexFloatStorage"',
      strided(0, [1], [1], storage(2, 'ComplexFloatStorage')),
    ],
    ['another persistent reference', 'bad-file', 'no storage', new PersistentId(new Tuple(['module', 1]))],
    ['a storage by itself', 'unsupported', 'storage "0" where a value belongs', [storage()]],
    [
      'a parameter of a list',
      'bad-file',
      'a parameter made of a list',
      new Call(new GlobalRef('torch._utils', '_rebuild_parameter'), [[]]),
    ],
    [
      'a sparse tensor',
      'unsupported',
      '_rebuild_sparse_tensor',
      new Call(new GlobalRef('torch._utils', '_rebuild_sparse_tensor'), []),
    ],
    ['a module', 'unsupported', '"torch.nn.modules.linear.Linear"', new GlobalRef('torch.nn.modules.linear', 'Linear')],
    [
      'a NumPy scalar',
      'unsupported',
      '"numpy.core.multiarray.scalar"',
      new GlobalRef('numpy.core.multiarray', 'scalar'),
    ],
  ])('refuses %s', async (_, code, message, value) => {
    const bytes = await around(value);
    expect(() => readPth(bytes, 'y.pth')).toThrow(
      expect.objectContaining({ code, message: expect.stringContaining(message) }),
    );
  });
});

describe('other files', () => {
  const none = Uint8Array.of(0x80, 2, 0x4e, 0x2e); // a pickle of None
  test.each<[string, string, string, Uint8Array | Promise<Uint8Array>]>([
    ['a legacy file', 'unsupported', 'before 1.6', Uint8Array.of(0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9)],
    ['no archive', 'bad-file', 'without a zip directory', new TextEncoder().encode('hello'.repeat(50))],
    ['an archive without a pickle', 'bad-file', '0 data.pkl', archive({ 'x/version': '3' })],
    ['an archive of two', 'bad-file', '2 data.pkl', archive({ 'x/data.pkl': none, 'y/data.pkl': none })],
    ['TorchScript', 'unsupported', 'TorchScript', archive({ 'x/data.pkl': none, 'x/constants.pkl': none })],
    ['big-endian', 'unsupported', 'big-endian', archive({ 'x/data.pkl': none, 'x/byteorder': 'big' })],
    [
      'a pickle out of measure',
      'bad-file',
      'a pickle of 67108865 bytes',
      archive({ 'x/data.pkl': new Uint8Array(2 ** 26 + 1) }),
    ],
  ])('%s', async (_, code, message, file) => {
    const bytes = await file;
    expect(() => readPth(bytes)).toThrow(expect.objectContaining({ code, message: expect.stringContaining(message) }));
  });
});

test('20 000 mutated files load or are refused with a typed error: the archive, and the pickle under a right check sum', async () => {
  const random = randomSource(8);
  const tensor = strided(0, [2, 2], [1, 2]);
  const good = await around(
    new Map<string, unknown>([
      ['w', tensor],
      ['state', new OrderedDict([['b', [strided(1, [3], [1])]]])],
      ['lr', 0.1],
    ]),
  );
  const pickle = readZip(good).get('x/data.pkl')!.read();
  let loaded = 0;
  for (let i = 0; i < 10_000; i++) {
    const bytes = mutate(good, random);
    await loadsOrRefuses(() => readPth(bytes));
    const changed = await archive({ 'x/data.pkl': mutate(pickle, random), 'x/data/0': new Uint8Array(16) });
    if (await loadsOrRefuses(() => readPth(changed))) loaded++;
  }
  expect(loaded).toBeGreaterThan(100);
  expect(loaded).toBeLessThan(9000);
  for (let end = 0; end < good.length; end++)
    expect(await loadsOrRefuses(() => readPth(good.subarray(0, end)))).toBe(false);
}, 60_000);

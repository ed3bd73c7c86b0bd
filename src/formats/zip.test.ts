import { unzipSync, Zip, ZipDeflate, ZipPassThrough, zipSync } from 'fflate';
import { describe, expect, test } from 'vitest';
import { concatChunks } from './bytes.ts';
import { loadsOrRefuses, mutate, randomSource } from './fuzz.ts';
import { readZip, writeZip, type ZipRecord } from './zip.ts';

const text = (s: string) => new TextEncoder().encode(s);
const CONTENT = { 'a/data.pkl': text('abc'.repeat(300)), 'a/empty': new Uint8Array(), 'a/ü': Uint8Array.of(0, 255) };
const records = (content: Record<string, Uint8Array<ArrayBuffer>> = CONTENT): ZipRecord[] =>
  Object.entries(content).map(([name, data]) => ({ name, size: data.length, data: () => data }));
const unpacked = (bytes: Uint8Array) =>
  Object.fromEntries([...readZip(bytes)].map(([name, entry]) => [name, new Uint8Array(entry.read())]));

describe('writing', () => {
  test('another reader unpacks it, and so does ours; equal content gives equal bytes', async () => {
    const bytes = await concatChunks(writeZip(records()));
    expect(unzipSync(bytes)).toEqual(CONTENT);
    expect(unpacked(bytes)).toEqual(CONTENT);
    expect(await concatChunks(writeZip(records()))).toEqual(bytes);
  });

  test('every record starts at a multiple of 64 and is read as a view', async () => {
    const bytes = await concatChunks(writeZip(records()));
    for (const entry of readZip(bytes).values()) {
      const data = entry.read();
      expect(data.byteOffset % 64).toBe(0);
      expect(data.buffer).toBe(bytes.buffer);
    }
  });

  test('an archive that would need zip64 is refused before anything is written', async () => {
    const data = () => {
      throw new Error('asked for data');
    };
    const half = 2 ** 31;
    const large = ['a', 'b'].map((name) => ({ name, size: half, data }));
    const many = Array.from({ length: 65535 }, (_, i) => ({ name: `${i}`, size: 0, data }));
    for (const list of [large, many])
      await expect(writeZip(list).next()).rejects.toMatchObject({ code: 'unsupported', message: /zip64/ });
  });
});

/** Archives of another writer: deflated, stored, and as a stream, whose sizes follow the data in a descriptor. */
function foreignArchives(): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  const zip = new Zip((error, chunk) => {
    if (error) throw error;
    chunks.push(chunk);
  });
  for (const [name, data] of Object.entries(CONTENT)) {
    const file = name === 'a/ü' ? new ZipPassThrough(name) : new ZipDeflate(name);
    zip.add(file);
    file.push(data, true);
  }
  zip.end();
  return [
    zipSync(CONTENT),
    zipSync(CONTENT, { level: 0, comment: 'a comment' }),
    new Uint8Array(Buffer.concat(chunks)),
  ];
}

describe('reading', () => {
  test('deflated records, data descriptors and comments', () => {
    for (const bytes of foreignArchives()) expect(unpacked(bytes)).toEqual(CONTENT);
  });

  test('an archive that does not start at the beginning of its buffer', async () => {
    const bytes = await concatChunks(writeZip(records()));
    const shifted = new Uint8Array(bytes.length + 3);
    shifted.set(bytes, 3);
    expect(unpacked(shifted.subarray(3))).toEqual(CONTENT);
  });

  /** Our archive of one record "a" (its local header at 0, its data at 64), with fields overwritten. */
  async function damaged(change: (view: DataView, central: number, end: number) => void): Promise<Uint8Array> {
    const bytes = await concatChunks(writeZip(records({ a: text('hello world') })));
    const end = bytes.length - 22;
    change(new DataView(bytes.buffer), end - 47, end);
    return bytes;
  }
  test.each<[string, string, string, Parameters<typeof damaged>[0]]>([
    [
      'a wrong check sum',
      'bad-file',
      '"a" with check sum 0x0d4a1185, need 0x00000000',
      (v, c) => v.setUint32(c + 16, 0, true),
    ],
    ['a changed byte', 'bad-file', 'its bytes are damaged', (v) => v.setUint8(66, 0)],
    ['zip64 by size', 'unsupported', 'zip64', (v, c) => v.setUint32(c + 24, 0xffffffff, true)],
    ['zip64 by directory', 'unsupported', 'zip64', (v, _, e) => v.setUint32(e + 16, 0xffffffff, true)],
    ['several parts', 'unsupported', 'several parts', (v, _, e) => v.setUint16(e + 4, 1, true)],
    ['encryption', 'unsupported', '"a" encrypted', (v, c) => v.setUint16(c + 8, 1, true)],
    ['an unknown method', 'unsupported', '"a" packed by method 14', (v, c) => v.setUint16(c + 10, 14, true)],
    [
      'a size that stored data cannot have',
      'bad-file',
      '"a" of 12 bytes, 11 packed',
      (v, c) => v.setUint32(c + 24, 12, true),
    ],
    [
      'an unpacked size out of reach',
      'bad-file',
      '11 packed',
      (v, c) => {
        v.setUint16(c + 10, 8, true);
        v.setUint32(c + 24, 0xfffffff0, true);
      },
    ],
    ['bytes that do not inflate', 'bad-file', 'does not unpack', (v, c) => v.setUint16(c + 10, 8, true)],
    [
      'a record beyond the data',
      'bad-file',
      'up to byte',
      (v, c) => {
        v.setUint32(c + 20, 500, true);
        v.setUint32(c + 24, 500, true);
      },
    ],
    ['no local header', 'bad-file', '"a" without a header at byte 1', (v, c) => v.setUint32(c + 42, 1, true)],
    ['another local name', 'bad-file', 'own header says "b"', (v) => v.setUint8(30, 98)],
    ['a directory outside the file', 'bad-file', 'its end before', (v, _, e) => v.setUint32(e + 12, 9999, true)],
    [
      'a missing entry',
      'bad-file',
      'no zip directory entry',
      (v, _, e) => {
        v.setUint16(e + 8, 2, true);
        v.setUint16(e + 10, 2, true);
      },
    ],
  ])('%s', async (_, code, message, change) => {
    const bytes = await damaged(change);
    expect(() => unpacked(bytes)).toThrow(expect.objectContaining({ code, message: expect.stringContaining(message) }));
  });

  test('two records that share bytes, or a name, are refused', async () => {
    const inner = await concatChunks(writeZip(records({ b: text('hello world') })));
    const bytes = await concatChunks(writeZip(records({ a: inner, b: text('hello world') })));
    const view = new DataView(bytes.buffer);
    const central = bytes.length - 22 - 47; // of "b"
    view.setUint32(central + 42, 64, true); // where, inside "a", another header says "b"
    expect(() => readZip(bytes)).toThrow('record "b" overlapping "a"');
    view.setUint8(central + 46, 'a'.charCodeAt(0));
    expect(() => readZip(bytes)).toThrow('two records named "a"');
  });

  test('8 000 mutated archives and every truncation: read or refused with a typed error', async () => {
    const random = randomSource(2);
    const ours = await concatChunks(writeZip(records()));
    for (const good of [ours, ...foreignArchives()]) {
      for (let i = 0; i < 2000; i++) await loadsOrRefuses(() => unpacked(mutate(good, random)));
    }
    for (let end = 0; end < ours.length; end++)
      expect(await loadsOrRefuses(() => readZip(ours.subarray(0, end)))).toBe(false);
  });
});

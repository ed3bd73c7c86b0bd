import { crc32, inflateSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { randomSource } from './fuzz.ts';
import { encodePng, type GreyImage, type RgbImage } from './png.ts';

/** A plain PNG reader for what is written here, on Node's own inflate and check sum. */
function decodePng(file: Uint8Array): GreyImage | RgbImage {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  expect([...file.subarray(0, 8)]).toEqual([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  const chunks = new Map<string, Uint8Array>();
  for (let at = 8; at < file.length; ) {
    const end = at + 8 + view.getUint32(at);
    expect(view.getUint32(end)).toBe(crc32(file.subarray(at + 4, end)));
    chunks.set(Buffer.from(file.subarray(at + 4, at + 8)).toString(), file.subarray(at + 8, end));
    at = end + 4;
  }
  expect([...chunks.keys()]).toEqual(['IHDR', 'IDAT', 'IEND']);
  const header = Buffer.from(chunks.get('IHDR')!);
  const [width, height] = [header.readUInt32BE(0), header.readUInt32BE(4)];
  expect([header[8], ...header.subarray(10)]).toEqual([8, 0, 0, 0]);
  const channels = header[9] === 2 ? 3 : 1;
  const packed = inflateSync(chunks.get('IDAT')!);
  const row = width * channels;
  expect(packed.length).toBe((row + 1) * height);
  const data = new Uint8Array(row * height);
  for (let y = 0; y < height; y++) {
    expect(packed[y * (row + 1)]).toBe(2);
    for (let i = 0; i < row; i++)
      data[y * row + i] = packed[y * (row + 1) + 1 + i]! + (y > 0 ? data[(y - 1) * row + i]! : 0);
  }
  return { width, height, channels, data };
}

describe('PNG', () => {
  test.each([
    [1, 1, 1],
    [1, 1, 3],
    [7, 5, 1],
    [5, 300, 3],
  ] as const)('%i × %i pixels of %i channels come back', (width, height, channels) => {
    const random = randomSource(width);
    const data = Uint8Array.from({ length: width * height * channels }, () => random(256));
    const image = { width, height, channels, data } as GreyImage | RgbImage;
    expect(decodePng(encodePng(image))).toEqual(image);
    expect(encodePng(image)).toEqual(encodePng(image));
  });

  test('data that do not fit the size are refused', () => {
    const data = new Uint8Array(3);
    for (const [width, height] of [
      [2, 1],
      [0, 0],
      [1.5, 2],
      [-1, -3],
    ] as const)
      expect(() => encodePng({ width, height, channels: 1, data })).toThrow(`3 bytes for ${width} × ${height} × 1`);
  });
});

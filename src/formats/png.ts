/** Writes PNG pictures of 8 bits a channel, grey or RGB. https://www.w3.org/TR/png-3/ */
import { zlibSync } from 'fflate';
import { HysparkError } from '../errors.ts';
import { type Bytes, concatBytes } from './bytes.ts';
import { crc32 } from './crc.ts';

export interface GreyImage {
  readonly width: number;
  readonly height: number;
  readonly channels: 1;
  /** `[height, width]`, rows from top to bottom, 0 black to 255 white. */
  readonly data: Uint8Array;
}

export interface RgbImage {
  readonly width: number;
  readonly height: number;
  readonly channels: 3;
  /** `[height, width, 3]`, rows from top to bottom, sRGB. */
  readonly data: Uint8Array;
}

const SIGNATURE = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);
/** Filter "up": each byte minus the one above. Slices change little from row to row, so it packs well. */
const FILTER_UP = 2;

/** A whole PNG file; equal pictures give equal bytes. @throws HysparkError `bad-shape` where the data do not fit the size */
export function encodePng({ width, height, channels, data }: GreyImage | RgbImage): Bytes {
  const row = width * channels;
  if (
    ![width, height].every((size) => Number.isInteger(size) && size > 0 && size < 2 ** 31) ||
    data.length !== row * height
  ) {
    const got = `${data.length} bytes for ${width} × ${height} × ${channels}`;
    throw new HysparkError('bad-shape', { doing: 'writing a PNG picture', got });
  }
  const filtered = new Uint8Array((row + 1) * height);
  for (let y = 0; y < height; y++) {
    const out = y * (row + 1);
    filtered[out] = FILTER_UP;
    for (let i = 0; i < row; i++) {
      const at = y * row + i;
      filtered[out + 1 + i] = data[at]! - (y > 0 ? data[at - row]! : 0); // modulo 256
    }
  }
  const header = new DataView(new ArrayBuffer(13));
  header.setUint32(0, width);
  header.setUint32(4, height);
  header.setUint8(8, 8); // bits a channel
  header.setUint8(9, channels === 1 ? 0 : 2); // colour type: grey, RGB
  return concatBytes([
    SIGNATURE,
    chunk('IHDR', new Uint8Array(header.buffer)),
    chunk('IDAT', zlibSync(filtered)),
    chunk('IEND', new Uint8Array()),
  ]);
}

/** Length, type, data, check of type and data; big-endian. */
function chunk(type: string, data: Uint8Array): Bytes {
  const out = new Uint8Array(12 + data.length);
  const view = new DataView(out.buffer);
  view.setUint32(0, data.length);
  out.set(new TextEncoder().encode(type), 4);
  out.set(data, 8);
  view.setUint32(8 + data.length, crc32(out.subarray(4, 8 + data.length)));
  return out;
}

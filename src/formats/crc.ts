/**
 * Cyclic redundancy checks of 32 bits, reflected, by "slicing by 8": eight bytes a round, one table lookup each.
 * https://www.zlib.net/crc_v3.txt (the tables), RFC 3720 B.4 (CRC-32C)
 */

/** `crc(bytes)`, or `crc(next, crc(first))` for bytes that come in parts. */
export type Crc = (bytes: Uint8Array, previous?: number) => number;

/** The check of zip, gzip and PNG. */
export const crc32: Crc = makeCrc(0xedb88320);
/** Castagnoli's polynomial: the check of TensorBoard's event files. */
export const crc32c: Crc = makeCrc(0x82f63b78);

function makeCrc(polynomial: number): Crc {
  // tables[k * 256 + b]: the check of byte b followed by k zero bytes
  const tables = new Uint32Array(8 * 256);
  for (let b = 0; b < 256; b++) {
    let crc = b;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ polynomial : crc >>> 1;
    tables[b] = crc;
  }
  for (let i = 256; i < tables.length; i++) {
    const shorter = tables[i - 256]!;
    tables[i] = (shorter >>> 8) ^ tables[shorter & 255]!;
  }
  return (bytes, previous = 0) => {
    let crc = ~previous;
    let at = 0;
    for (const whole = bytes.length - 7; at < whole; at += 8) {
      const low = crc ^ (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24));
      crc =
        tables[1792 + (low & 255)]! ^
        tables[1536 + ((low >>> 8) & 255)]! ^
        tables[1280 + ((low >>> 16) & 255)]! ^
        tables[1024 + (low >>> 24)]! ^
        tables[768 + bytes[at + 4]!]! ^
        tables[512 + bytes[at + 5]!]! ^
        tables[256 + bytes[at + 6]!]! ^
        tables[bytes[at + 7]!]!;
    }
    for (; at < bytes.length; at++) crc = (crc >>> 8) ^ tables[(crc ^ bytes[at]!) & 255]!;
    return ~crc >>> 0;
  };
}

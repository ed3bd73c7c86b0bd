import { expect, test } from 'vitest';
import { crc32, crc32c } from './crc.ts';
import { randomSource } from './fuzz.ts';

const text = (s: string) => new TextEncoder().encode(s);

test('the published check values', () => {
  expect(crc32(text('123456789'))).toBe(0xcbf43926);
  expect(crc32c(text('123456789'))).toBe(0xe3069283);
  expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa); // RFC 3720 B.4
  expect(crc32c(new Uint8Array(32).fill(255))).toBe(0x62a8ab43);
  expect(crc32(new Uint8Array())).toBe(0);
});

test('any length and any division into parts equal the definition, one bit at a time', () => {
  const random = randomSource(3);
  for (let length = 0; length < 60; length++) {
    const bytes = Uint8Array.from({ length }, () => random(256));
    let crc = 0xffffffff;
    for (const byte of bytes) {
      crc ^= byte;
      for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
    }
    expect(crc32(bytes)).toBe(~crc >>> 0);
    const cut = random(length + 1);
    expect(crc32(bytes.subarray(cut), crc32(bytes.subarray(0, cut)))).toBe(~crc >>> 0);
  }
});

import { describe, expect, test } from 'vitest';
import { fmix32, fnv1a32, goldenWords, Random } from './random.ts';

describe('hashes', () => {
  test('fnv1a32 equals its published values', () => {
    expect(fnv1a32('')).toBe(0x811c9dc5);
    expect(fnv1a32('a')).toBe(0xe40c292c);
    expect(fnv1a32('foobar')).toBe(0xbf9cf968);
    expect(fnv1a32('é')).not.toBe(fnv1a32('e'));
  });

  test('fmix32 equals the reference finaliser', () => {
    expect(fmix32(0)).toBe(0);
    expect(fmix32(1)).toBe(0x514e28b7);
    expect(fmix32(2 ** 32 + 1)).toBe(fmix32(1)); // arguments wrap
  });

  test('goldenWords equals the table of the golden data', () => {
    expect(goldenWords('sparse_encoder.embeddings.stem.weight', 1)(0)).toBe(0xeb0044ec);
    expect(goldenWords('sparse_encoder.embeddings.stem.weight', 1)(863)).toBe(0x98482976);
    expect(goldenWords('dense_decoder.dec.0.up_sample.weight', 1)(4718591)).toBe(0x6bdd1c2b);
    expect(goldenWords('mask_tokens.2', 202)(255)).toBe(0xd3f0c897);
  });
});

describe('Random', () => {
  const random = Random.of(7, 'test', 3);

  test('is a function of its parts and the counter only', () => {
    const again = Random.of('7', 'test', '3');
    for (const i of [5, 0, 4294967295, 5]) expect(again.word(i)).toBe(random.word(i));
    const others = [Random.of(8, 'test', 3), Random.of(7, 'tess', 3), Random.of(7, 'test', 4), Random.of(7, 'test')];
    for (const other of others) expect(other.word(0)).not.toBe(random.word(0));
  });

  test('first words stay as they are: runs are reproducible across versions', () => {
    expect(Array.from(Random.of(1, 'order').permutation(8))).toMatchInlineSnapshot(`
      [
        1,
        7,
        6,
        4,
        0,
        3,
        5,
        2,
      ]
    `);
    expect([0, 1, 2].map((i) => random.word(i))).toMatchInlineSnapshot(`
      [
        2095329966,
        1321922451,
        655493774,
      ]
    `);
  });

  test('uniform: range, 24 bits, mean, deviation, no correlation between neighbours', () => {
    const n = 1 << 16;
    let sum = 0;
    let squares = 0;
    let products = 0;
    let good = true;
    for (let i = 0; i < n; i++) {
      const u = random.uniform(i);
      good &&= u >= 0 && u < 1 && Math.fround(u) === u;
      sum += u - 0.5;
      squares += (u - 0.5) ** 2;
      products += (u - 0.5) * (random.uniform(i + 1) - 0.5);
    }
    expect(good).toBe(true);
    // Five standard errors: 5 / sqrt(12 n), 5 sqrt(1/180 / n), 5 / 12 / sqrt(n).
    expect(Math.abs(sum / n)).toBeLessThan(5 / Math.sqrt(12 * n));
    expect(Math.abs(squares / n - 1 / 12)).toBeLessThan(5 * Math.sqrt(1 / 180 / n));
    expect(Math.abs(products / n)).toBeLessThan(5 / 12 / Math.sqrt(n));
  });

  test('every bit of a word is set half of the time', () => {
    const n = 1 << 14;
    const ones = new Array(32).fill(0);
    for (let i = 0; i < n; i++) for (let b = 0; b < 32; b++) ones[b] += (random.word(i) >>> b) & 1;
    for (const count of ones) expect(Math.abs(count - n / 2)).toBeLessThan(2.5 * Math.sqrt(n)); // 5 deviations
  });

  test('streams are not shifts of one another', () => {
    const seen = new Set<number>();
    let longest = 0;
    for (let i = 0; i < 1 << 15; i++) seen.add(random.word(i));
    for (let s = 0; s < 64; s++) {
      const other = Random.of(7, 'other', s);
      let run = 0;
      for (let i = 0; i < 256; i++) {
        run = seen.has(other.word(i)) ? run + 1 : 0;
        longest = Math.max(longest, run);
      }
    }
    expect(longest).toBeLessThan(3); // two hits in a row by chance: 6e-11 a place
  });

  test('int: range and evenness', () => {
    const counts = new Array(6).fill(0);
    for (let i = 0; i < 60000; i++) counts[random.int(i, 6)]++;
    expect(counts.length).toBe(6);
    for (const count of counts) expect(Math.abs(count - 10000)).toBeLessThan(460); // 5 deviations
    expect(random.int(9, 1)).toBe(0);
  });

  test('normal: moments, finite everywhere', () => {
    const n = 1 << 16;
    const moments = [0, 0, 0, 0];
    let largest = 0;
    for (let i = 0; i < n; i++) {
      const x = random.normal(i);
      largest = Math.max(largest, Math.abs(x));
      for (let p = 0; p < 4; p++) moments[p]! += x ** (p + 1) / n;
    }
    expect(largest).toBeLessThan(5.8); // NaN fails too
    expect(Math.abs(moments[0]!)).toBeLessThan(5 / Math.sqrt(n));
    expect(Math.abs(moments[1]! - 1)).toBeLessThan(5 * Math.sqrt(2 / n));
    expect(Math.abs(moments[2]!)).toBeLessThan(5 * Math.sqrt(15 / n));
    expect(Math.abs(moments[3]! - 3)).toBeLessThan(5 * Math.sqrt(96 / n));
  });

  test('permutation: every element once; all orders of three equally often', () => {
    expect(Array.from(random.permutation(1000)).sort((a, b) => a - b)).toEqual(
      Array.from({ length: 1000 }, (_, i) => i),
    );
    const counts = new Map<string, number>();
    for (let s = 0; s < 6000; s++) {
      const order = Random.of(s, 'perm').permutation(3).join('');
      counts.set(order, (counts.get(order) ?? 0) + 1);
    }
    expect(counts.size).toBe(6);
    for (const count of counts.values()) expect(Math.abs(count - 1000)).toBeLessThan(145); // 5 deviations
    expect(random.permutation(0).length).toBe(0);
  });
});

/**
 * Counter-based random numbers: value `i` of a stream is a pure function of (seed, purpose, step, i). Nothing is
 * advanced, so draws do not depend on the order in which workers ask for them, and a resumed run repeats an
 * uninterrupted one from the step number alone.
 *
 * ```ts
 * const random = Random.of(seed, 'crop', epoch, scan);
 * random.uniform(0); // [0, 1)
 * random.int(1, 96); // 0..95
 * random.normal(2);  // mean 0, deviation 1
 * ```
 *
 * The mixing is that of MurmurHash3 (`fmix32`) over an FNV-1a hash of the stream's name. Good enough for sampling,
 * noise and initial weights; not for secrets. Words, uniforms, ints and shuffles are the same on every machine;
 * `normal` goes through Math.log, sin and cos, whose last bit may differ between JavaScript engines.
 */

const FNV_BASIS = 0x811c9dc5;
const FNV_PRIME = 0x01000193;
/** 2^32 / golden ratio, odd: consecutive counters land far apart before mixing. */
const GOLDEN = 0x9e3779b9;
const utf8 = new TextEncoder();

/** FNV-1a over the UTF-8 bytes of `text`; unsigned 32 bit. */
export function fnv1a32(text: string, basis = FNV_BASIS): number {
  let h = basis;
  for (const byte of utf8.encode(text)) h = Math.imul(h ^ byte, FNV_PRIME);
  return h >>> 0;
}

/** The finaliser of MurmurHash3: a bijection on unsigned 32-bit integers in which every input bit reaches every output bit. */
export function fmix32(x: number): number {
  let h = x | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** `word(name, i)` of golden/README.md ("Weights from names") as a function of i: the formula that fills the golden weights. */
export function goldenWords(name: string, seed: number): (i: number) => number {
  const start = fmix32(fnv1a32(name) ^ seed);
  return (i) => fmix32(start + Math.imul(i, GOLDEN));
}

/** One stream of random numbers. All draws take a counter `i`, an integer in 0..2^32 - 1. */
export class Random {
  readonly #a: number;
  readonly #b: number;

  private constructor(a: number, b: number) {
    this.#a = a;
    this.#b = b;
  }

  /**
   * The stream named by its parts, e.g. `Random.of(seed, 'mask', step, sample)`. Parts are joined with '/', so
   * numbers and their decimal text name the same stream.
   */
  static of(...parts: readonly (string | number)[]): Random {
    const name = parts.join('/');
    // Two hashes from different bases: with 64 bits of key, streams neither collide nor are shifts of one another.
    return new Random(fmix32(fnv1a32(name)), fmix32(fnv1a32(name, FNV_BASIS ^ GOLDEN)));
  }

  /** 32 random bits, unsigned. */
  word(i: number): number {
    return fmix32(fmix32(this.#a + Math.imul(i, GOLDEN)) ^ this.#b);
  }

  /** Uniform in [0, 1) with 24 random bits: exact in float32. */
  uniform(i: number): number {
    return (this.word(i) >>> 8) * 2 ** -24;
  }

  /** Uniform integer in 0..n - 1, 1 <= n <= 2^32. The bias is below n / 2^32. */
  int(i: number, n: number): number {
    return Math.floor(this.word(i) * 2 ** -32 * n);
  }

  /**
   * Normal, mean 0 and deviation 1, by Box-Muller. Counters 2j and 2j + 1 share the two words 2j and 2j + 1, so do
   * not mix `normal` with other draws at the same pair of counters. The magnitude is at most sqrt(2 ln 2^24) = 5.77.
   */
  normal(i: number): number {
    const even = i - (i % 2);
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform(even))); // 1 - u is in (0, 1]
    const angle = 2 * Math.PI * this.uniform(even + 1);
    return radius * (i === even ? Math.cos(angle) : Math.sin(angle));
  }

  /** A random permutation of 0..n - 1 (Fisher-Yates); uses counters 1..n - 1. */
  permutation(n: number): Uint32Array {
    const order = Uint32Array.from({ length: n }, (_, i) => i);
    for (let i = n - 1; i > 0; i--) {
      const j = this.int(i, i + 1);
      const swap = order[i]!;
      order[i] = order[j]!;
      order[j] = swap;
    }
    return order;
  }
}

/** For tests: damages small files in every way that comes to mind, reproducibly. */
import { HysparkError } from '../errors.ts';

/** mulberry32: a small generator, so that a failing case can be found again by its seed. */
export function randomSource(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let x = Math.imul(state ^ (state >>> 15), state | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return ((x ^ (x >>> 14)) >>> 0) % below;
  };
}

/** A copy with one to four random edits: bits flipped, bytes replaced, removed, doubled, moved, the end cut off. */
export function mutate(bytes: Uint8Array, random: (below: number) => number): Uint8Array<ArrayBuffer> {
  let out = Array.from(bytes);
  for (let edits = 1 + random(4); edits > 0 && out.length > 0; edits--) {
    const at = random(out.length);
    const span = 1 + random(12);
    switch (random(7)) {
      case 0:
        out[at]! ^= 1 << random(8);
        break;
      case 1:
        out[at] = random(256);
        break;
      case 2: // values at the edges of their ranges
        out.splice(
          at,
          4,
          ...[
            [255, 255, 255, 255],
            [0, 0, 0, 0],
            [255, 255, 255, 127],
            [0, 0, 0, 128],
          ][random(4)]!,
        );
        break;
      case 3:
        out.splice(at, span);
        break;
      case 4:
        out.splice(at, 0, ...out.slice(at, at + span));
        break;
      case 5:
        out.splice(random(out.length), 0, ...out.splice(at, span));
        break;
      case 6:
        if (random(4) === 0) out = out.slice(0, at);
        break;
    }
  }
  return new Uint8Array(out);
}

/** Runs `read` and returns whether it succeeded; anything thrown but a `HysparkError` is thrown on. */
export async function loadsOrRefuses(read: () => unknown): Promise<boolean> {
  try {
    await read();
    return true;
  } catch (error) {
    if (error instanceof HysparkError && error.message.length > 10) return false;
    throw error;
  }
}

/** The numbers that launches are given. */

import type { Slice } from './slices.ts';
import { ALIGNMENT } from './variables.ts';

/** All launches' uniforms in one buffer; equal ones share a range, [offset, bytes]. */
export function packUniforms(slices: readonly Slice[]): { data: ArrayBuffer; ranges: (readonly [number, number])[] } {
  const known = new Map<string, readonly [number, number]>();
  const words: number[] = [];
  const scratch = new DataView(new ArrayBuffer(4));
  const ranges = slices.map(({ dispatch: { kernel, launch }, first }) => {
    const fields = Object.entries(kernel.uniforms).map(([name, type]) => {
      const value = name === kernel.sliced?.first ? first : launch.uniforms![name]!;
      if (type === 'f32') scratch.setFloat32(0, value, true);
      else if (type === 'i32') scratch.setInt32(0, value, true);
      else scratch.setUint32(0, value, true);
      return scratch.getUint32(0, true);
    });
    const key = fields.join();
    let range = known.get(key);
    if (!range) {
      range = [words.length * 4, Math.ceil(fields.length / 4) * 16];
      known.set(key, range);
      words.push(...fields);
      while ((words.length * 4) % ALIGNMENT !== 0) words.push(0);
    }
    return range;
  });
  return { data: new Uint32Array(words).buffer, ranges };
}

/** A folder of golden data on disk. */

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readSafetensors } from '../../formats/safetensors.ts';
import type { HostTensor } from '../../formats/tensor.ts';
import type { GoldenFolder } from './manifest.ts';

export function goldenFolder(path: string): GoldenFolder {
  const known = new Map<string, ReadonlyMap<string, HostTensor>>();
  return {
    sets: readdirSync(path)
      .filter((name) => name.endsWith('.json'))
      .map((name) => name.slice(0, -'.json'.length))
      .sort(),
    // Python writes NaN and Infinity, which are no JSON; as null they fail every comparison.
    json: async (file) => JSON.parse(readFileSync(join(path, file), 'utf8').replace(/-?\b(NaN|Infinity)\b/g, 'null')),
    tensors: async (file) => {
      let tensors = known.get(file);
      if (!tensors) {
        tensors = readSafetensors(new Uint8Array(readFileSync(join(path, file))), file).tensors;
        known.set(file, tensors);
      }
      return tensors;
    },
  };
}

/** The golden set that the project carries: `tiny_synth`, whose crop is drawn by a formula. For every runtime, browsers too. */

import { readSafetensors } from '../../formats/safetensors.ts';
import type { GoldenFolder } from './manifest.ts';

const manifests = import.meta.glob<unknown>('./data/*.json', { eager: true, import: 'default' });
const files = import.meta.glob<string>('./data/**/*.safetensors', {
  eager: true,
  import: 'default',
  query: '?url&inline',
});

function entry<T>(all: Record<string, T>, file: string): T {
  const found = all[`./data/${file}`];
  if (found === undefined) throw new Error(`the project carries no ${file}`);
  return found;
}

export const bundled: GoldenFolder = {
  sets: Object.keys(manifests).map((path) => path.slice('./data/'.length, -'.json'.length)),
  json: async (file) => entry(manifests, file),
  tensors: async (file) => {
    const base64 = entry(files, file).split(',')[1]!;
    return readSafetensors(
      Uint8Array.from(atob(base64), (c) => c.charCodeAt(0)),
      file,
    ).tensors;
  },
};

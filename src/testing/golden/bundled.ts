/** Golden data through Vite, for tests in every runtime, browsers too: the set that the project carries, and one from beside it. */

import { readSafetensors } from '../../formats/safetensors.ts';
import type { GoldenFolder } from './manifest.ts';

type Loaders<T> = Record<string, () => Promise<T>>;

function viteFolder(base: string, manifests: Loaders<unknown>, files: Loaders<string>): GoldenFolder {
  const load = async <T>(all: Loaders<T>, file: string): Promise<T> => {
    const loader = all[base + file];
    if (!loader) throw new Error(`no ${base}${file} among the files that tests may read`);
    return loader();
  };
  return {
    sets: Object.keys(manifests).map((path) => path.slice(base.length, -'.json'.length)),
    json: (file) => load(manifests, file),
    tensors: async (file) => {
      const [, base64] = (await load(files, file)).split(',');
      return readSafetensors(
        Uint8Array.from(atob(base64!), (c) => c.charCodeAt(0)),
        file,
      ).tensors;
    },
  };
}

/** `tiny_synth`, whose crop is drawn by a formula. */
export const bundled = viteFolder(
  './data/',
  import.meta.glob<unknown>('./data/*.json', { import: 'default' }),
  import.meta.glob<string>('./data/**/*.safetensors', { import: 'default', query: '?url&inline' }),
);

/** `tiny_b1` and the crops that it reads, where `../shared` is beside the project; otherwise without sets. */
export const beside = viteFolder(
  '../../../../shared/golden/',
  import.meta.glob<unknown>('../../../../shared/golden/tiny_b1.json', { import: 'default' }),
  import.meta.glob<string>('../../../../shared/golden/{tiny_b1,inputs/crops}.safetensors', {
    import: 'default',
    query: '?url&inline',
  }),
);

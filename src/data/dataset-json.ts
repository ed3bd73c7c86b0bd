/** `dataset.json` of nnU-Net and the Medical Segmentation Decathlon: which file is the label map of which scan. */

import { HysparkError } from '../errors.ts';
import type { FoundFile } from './source.ts';

export interface DatasetList {
  /** The folder that paths are relative to, with its '/', or ''. */
  readonly folder: string;
  /** `training: [{ image, label }]`; empty for nnU-Net's newer form, whose folders speak for themselves. */
  readonly pairs: readonly { readonly image: string; readonly label?: string }[];
}

/** Error `bad-file` for what is no JSON object. */
export function parseDatasetJson(path: string, text: string): DatasetList {
  const folder = path.slice(0, path.lastIndexOf('/') + 1);
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch (cause) {
    throw new HysparkError('bad-file', { doing: 'reading dataset.json', got: 'text that is not JSON', cause });
  }
  if (typeof content !== 'object' || content === null || Array.isArray(content)) {
    throw new HysparkError('bad-file', { doing: 'reading dataset.json', got: 'no object', need: 'an object' });
  }
  const training = (content as { training?: unknown }).training;
  const entries: unknown[] = Array.isArray(training) ? training : [];
  const pairs = entries.flatMap((entry) => {
    if (typeof entry !== 'object' || entry === null) return [];
    const { image, label } = entry as { image?: unknown; label?: unknown };
    // The Decathlon writes "./imagesTr/x.nii.gz"; some lists give one image as an array.
    const first = Array.isArray(image) ? image[0] : image;
    if (typeof first !== 'string') return [];
    return [{ image: plain(first), label: typeof label === 'string' ? plain(label) : undefined }];
  });
  return { folder, pairs };
}

/** Each listed image that is there (its path) with its label map, where that is there. */
export function* listedImages(
  list: DatasetList,
  byPath: ReadonlyMap<string, FoundFile>,
): Generator<[string, FoundFile | undefined]> {
  for (const { image, label } of list.pairs) {
    // nnU-Net's older lists leave the channel out of the file name.
    const names = [image, image.replace(/(\.nii(?:\.gz)?)$/, '_0000$1')].map((name) => list.folder + name);
    const found = names.find((name) => byPath.has(name));
    if (found !== undefined) yield [found, label === undefined ? undefined : byPath.get(list.folder + label)];
  }
}

function plain(path: string): string {
  return path.replaceAll('\\', '/').replace(/^(\.\/)+/, '');
}

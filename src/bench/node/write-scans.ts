/** A process that writes phantoms for `disk.ts`. Arguments: folder, kind, count. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Triple } from '../../data/affine.ts';
import { makePhantom } from '../../data/phantom.ts';
import { ANATOMIES } from '../../data/phantom-anatomy.ts';
import { encodeNifti, gzip } from '../../formats/nifti-write.ts';

interface Kind {
  readonly shape: Triple;
  readonly spacing: Triple;
  readonly zipped: boolean;
}

const KINDS: Record<string, Kind> = {
  large: { shape: [512, 512, 274], spacing: [0.78, 0.78, 1], zipped: true },
  middle: { shape: [256, 256, 120], spacing: [1.5, 1.5, 2], zipped: true },
  small: { shape: [32, 28, 24], spacing: [11, 10, 9], zipped: false },
};

const [, , folder, kind, count] = process.argv;
const { shape, spacing, zipped } = KINDS[kind!]!;
for (let i = 0; i < Number(count); i++) {
  const anatomy = ANATOMIES[i % ANATOMIES.length]!;
  const { affine, hu } = makePhantom({ seed: i, anatomy, shape, spacing, orientation: 'LPS' });
  const bytes = encodeNifti({ shape, affine, voxels: hu, fastest: 'x' });
  writeFileSync(join(folder!, `${i}.nii${zipped ? '.gz' : ''}`), zipped ? await gzip(bytes) : bytes);
}

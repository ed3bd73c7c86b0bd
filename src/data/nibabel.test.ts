/** The NIfTI reader against nibabel, an independent one, on every shared file that nibabel reads. */

import { execFileSync } from 'node:child_process';
import { openAsBlob } from 'node:fs';
import { basename } from 'node:path';
import { expect } from 'vitest';
import { hasNibabel } from '../testing/nibabel.ts';
import { sharedPath, testWithShared } from '../testing/shared.ts';
import { readNifti } from './nifti.ts';
import { axisCodes } from './orientation.ts';
import { valueAt } from './scan.ts';

const SCRIPT = `
import glob, json, sys, nibabel, numpy
for path in sorted(sum([glob.glob(g) for g in sys.argv[1:]], [])):
    image = nibabel.load(path)
    data = numpy.asarray(image.get_fdata(), numpy.float32).flatten(order="F")
    at = numpy.linspace(0, data.size - 1, 50).astype(int)
    print(json.dumps({"path": path, "shape": image.shape[:3], "affine": image.affine.flatten().tolist(),
                      "codes": "".join(nibabel.aff2axcodes(image.affine)), "at": at.tolist(),
                      "values": data[at].tolist(), "mean": float(data.astype("f8").mean())}))`;

/** Here the reference, like us, prefers the qform; nibabel does not look at voxel sizes. */
const OTHER_AFFINE = 'a7_sform_mismatch_int16.nii.gz';

const available = hasNibabel();
testWithShared(available ? 'ct' : 'ct and python3-nibabel')('our reader agrees with nibabel', async () => {
  const globs = ['ct/nifti/*', 'golden/inputs/nifti/*', 'ct/hostile/*.nii.gz', 'ct/hostile/nifti_variants/*_LR_*'];
  const more = ['big.nii.gz', 'little.nii.gz', 'with_extension.nii.gz'].map((n) => `ct/hostile/nifti_variants/${n}`);
  const args = ['-c', SCRIPT, ...[...globs, ...more].map(sharedPath)];
  const lines = execFileSync('/usr/bin/python3', args, { encoding: 'utf8', maxBuffer: 1 << 26 })
    .trim()
    .split('\n');
  expect(lines.length).toBeGreaterThan(30);
  for (const line of lines) {
    const expected = JSON.parse(line);
    const name = basename(expected.path);
    const scan = await readNifti({ path: name, blob: await openAsBlob(expected.path) });
    expect([name, scan.grid.shape]).toEqual([name, expected.shape]);
    if (name !== OTHER_AFFINE) {
      const worst = Math.max(...scan.grid.affine.map((v, i) => Math.abs(v - expected.affine[i])));
      expect(`${name} ${worst < 1e-6 ? 'same affine' : worst}`).toBe(`${name} same affine`);
      expect([name, axisCodes(scan.grid.affine)]).toEqual([name, expected.codes]);
    }
    const values = expected.at.map((i: number) => valueAt(scan, i));
    expect([name, values]).toEqual([name, expected.values]);
    let sum = 0;
    for (let i = 0; i < scan.voxels.length; i++) sum += valueAt(scan, i);
    expect(Math.abs(sum / scan.voxels.length - expected.mean)).toBeLessThan(1e-6 * Math.abs(expected.mean) + 1e-9);
  }
});

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readNifti } from '../data/nifti.ts';
import { valueAt } from '../data/scan.ts';
import { hasNibabel } from '../testing/nibabel.ts';
import { encodeNifti, gzip, type NiftiVoxels } from './nifti-write.ts';

const affine = [0, 0, -2, 5, -1, 0, 0, 1, 0, 1.5, 0, -3, 0, 0, 0, 1];
const numbers = Array.from({ length: 24 }, (_, i) => (i * 7) % 24);
const types: NiftiVoxels[] = [
  Uint8Array.from(numbers),
  Int16Array.from(numbers, (v) => v * 100 - 1000),
  Uint16Array.from(numbers, (v) => v * 2000),
  Int32Array.from(numbers, (v) => v - 70000),
  Float32Array.from(numbers, (v) => v / 7),
];

describe('encodeNifti', () => {
  for (const voxels of types) {
    test(`${voxels.constructor.name} comes back from our reader, gzipped`, async () => {
      const bytes = encodeNifti({ shape: [2, 3, 4], affine, voxels, fastest: 'x', slope: 2, inter: -5 });
      const scan = await readNifti({ path: 'a.nii.gz', blob: new Blob([await gzip(bytes)]) });
      expect(scan.grid.shape).toEqual([2, 3, 4]);
      expect(scan.grid.affine).toEqual(affine);
      voxels.forEach((value, i) => {
        expect(valueAt(scan, i)).toBe(Math.fround(value * 2 - 5));
      });
    });
  }

  test('z fastest is transposed', async () => {
    const [nx, ny, nz] = [2, 3, 4];
    const voxels = Int16Array.from({ length: 24 }, (_, i) => i);
    const scan = await readNifti({
      path: 'a.nii',
      blob: new Blob([encodeNifti({ shape: [nx, ny, nz], affine, voxels, fastest: 'z' })]),
    });
    for (let x = 0; x < nx; x++) {
      for (let y = 0; y < ny; y++) {
        for (let z = 0; z < nz; z++) expect(valueAt(scan, (z * ny + y) * nx + x)).toBe((x * ny + y) * nz + z);
      }
    }
  });

  test('a shape that the voxels do not fill is refused', () => {
    const voxels = new Uint8Array(5);
    expect(() => encodeNifti({ shape: [2, 3, 4], affine, voxels, fastest: 'x' })).toThrow(/5 voxels for 2 × 3 × 4/);
  });
});

const nibabel = hasNibabel();

test.skipIf(!nibabel)(
  `nibabel reads what we write${nibabel ? '' : ' (NOT CHECKED: python3-nibabel is absent)'}`,
  () => {
    const dir = mkdtempSync(join(tmpdir(), 'nifti-'));
    try {
      types.forEach((voxels, i) => {
        const bytes = encodeNifti({ shape: [2, 3, 4], affine, voxels, fastest: 'x', slope: 2, inter: -5 });
        writeFileSync(join(dir, `${i}.nii`), bytes);
      });
      const script = `
import json, sys, nibabel
out = []
for i in range(${types.length}):
    image = nibabel.load(f"{sys.argv[1]}/{i}.nii")
    out.append({"shape": image.shape, "affine": image.affine.flatten().tolist(), "dtype": str(image.get_data_dtype()),
                "codes": "".join(nibabel.aff2axcodes(image.affine)), "data": image.get_fdata().flatten(order="F").tolist()})
print(json.dumps(out))`;
      const read = JSON.parse(execFileSync('/usr/bin/python3', ['-c', script, dir], { encoding: 'utf8' }));
      types.forEach((voxels, i) => {
        expect(read[i].shape).toEqual([2, 3, 4]);
        expect(read[i].affine).toEqual(affine);
        expect(read[i].codes).toBe('PSL');
        expect(read[i].dtype).toBe(voxels.constructor.name.replace('Array', '').toLowerCase());
        expect(read[i].data).toEqual(Array.from(voxels, (value) => value * 2 - 5));
      });
    } finally {
      rmSync(dir, { recursive: true });
    }
  },
  60_000,
);

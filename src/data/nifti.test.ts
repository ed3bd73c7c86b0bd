import { describe, expect, test } from 'vitest';
import { encodeNifti, gzip } from '../formats/nifti-write.ts';
import { directPool, fileOf } from '../testing/data.ts';
import { measure, notCtReason } from './measure.ts';
import { readNifti } from './nifti.ts';
import { DEFAULT_PREPARE } from './prepare.ts';
import { valueAt } from './scan.ts';

const affine = [2, 0, 0, -10, 0, 2, 0, -10, 0, 0, 2, -10, 0, 0, 0, 1];
const good = encodeNifti({
  shape: [8, 8, 8],
  affine,
  voxels: Int16Array.from({ length: 512 }, (_, i) => ((i * 37) % 2000) - 1000),
  fastest: 'x',
});

/** A copy of the good file with its header changed. */
function changed(change: (view: DataView) => void): Uint8Array<ArrayBuffer> {
  const bytes = good.slice();
  change(new DataView(bytes.buffer));
  return bytes;
}

const read = (bytes: Uint8Array<ArrayBuffer>) => readNifti({ path: 'x.nii', blob: new Blob([bytes]) });
const setDim = (i: number, n: number) => (view: DataView) => view.setInt16(40 + 2 * i, n, true);
const setFloat = (at: number, value: number) => (view: DataView) => view.setFloat32(at, value, true);

const setDims = (n: number) => (view: DataView) => {
  for (const i of [1, 2, 3]) setDim(i, n)(view);
};
const zeroSform = (view: DataView) => {
  for (const r of [0, 1, 2]) setFloat(280 + 20 * r, 0)(view);
};

/** No sform; the qform of identity rotation. */
const qformOnly = (view: DataView) => {
  view.setInt16(254, 0, true);
  view.setInt16(252, 1, true);
};

describe('bad NIfTI files, a sentence each', () => {
  const cases: [string, Uint8Array<ArrayBuffer>, RegExp][] = [
    ['an empty file', new Uint8Array(0), /no NIfTI header: 0 bytes/],
    ['half a header', good.slice(0, 200), /no NIfTI header: 200 bytes/],
    ['a header alone', good.slice(0, 352), /352 bytes, need the 1376 bytes.*cut short/],
    ['half the voxels', good.slice(0, 800), /800 bytes, need the 1376 bytes.*cut short/],
    ['text', new TextEncoder().encode('hello '.repeat(100)), /no NIfTI header: other content/],
    ['Analyze 7.5', changed((v) => v.setUint32(344, 0)), /Analyze 7.5/],
    ['no dimensions', changed(setDim(0, 0)), /0 dimensions/],
    ['nine dimensions', changed(setDim(0, 9)), /9 dimensions/],
    ['a dimension of 0', changed(setDim(2, 0)), /dimensions 8 × 0 × 8/],
    ['a negative dimension', changed(setDim(2, -5)), /dimensions 8 × -5 × 8/],
    [
      'absurd dimensions',
      changed(setDims(32767)),
      /32767 × 32767 × 32767 voxels of int16, 65530.0 GiB, need at most 2 GiB/,
    ],
    ['dimensions that the file cannot hold', changed(setDim(3, 4000)), /need the 512352 bytes/],
    [
      'four dimensions',
      changed((v) => {
        setDim(0, 4)(v);
        setDim(4, 3)(v);
      }),
      /4-D file of 3 volumes \(8 × 8 × 8 × 3\)/,
    ],
    ['complex voxels', changed((v) => v.setInt16(70, 32, true)), /type complex64/],
    ['colour voxels', changed((v) => v.setInt16(70, 128, true)), /type RGB colour/],
    ['an unknown type', changed((v) => v.setInt16(70, 77, true)), /type code 77/],
    ['an offset that is no number', changed(setFloat(108, Number.NaN)), /voxels at byte NaN/],
    ['an offset beyond any file', changed(setFloat(108, 1e30)), /voxels at byte/],
    [
      'zero spacing',
      changed((v) => {
        qformOnly(v);
        setFloat(80, 0)(v);
      }),
      /voxel sizes 0 × 2 × 2 mm and no usable orientation/,
    ],
    [
      'spacing that is no number',
      changed((v) => {
        qformOnly(v);
        setFloat(80, Number.NaN)(v);
      }),
      /voxel sizes NaN/,
    ],
  ];
  for (const [name, bytes, message] of cases) {
    test(name, async () => {
      await expect(read(bytes)).rejects.toThrow(message);
      await expect(read(bytes)).rejects.toHaveProperty('name', 'HysparkError');
    });
  }

  test('a gzip stream cut short at many places', async () => {
    const zipped = await gzip(good);
    for (let length = 2; length < zipped.length; length += 37) {
      await expect(read(zipped.slice(0, length))).rejects.toThrow(/damaged, ends early|cut short|no NIfTI header/);
    }
  });

  test('a gzip stream whose check sum is wrong', async () => {
    const zipped = await gzip(good);
    zipped[zipped.length - 6]! ^= 1;
    await expect(read(zipped)).rejects.toThrow(/damaged/);
  });

  test('a gzip bomb: a small header, then gigabytes of zeros', async () => {
    const bomb = new Uint8Array(64 << 20);
    bomb.set(good);
    await expect(read(await gzip(bomb))).rejects.toThrow(/more than a mebibyte after the last voxel/);
  });

  test('a gzip file too small for what its header promises is refused before memory is taken', async () => {
    const huge = changed(setDims(1000));
    await expect(read(await gzip(huge))).rejects.toThrow(/bytes of gzip, need the 2000000352 bytes/);
  });
});

describe('odd NIfTI files that can be read', () => {
  const values = async (bytes: Uint8Array<ArrayBuffer>) => {
    const scan = await read(bytes);
    return Array.from({ length: 4 }, (_, i) => valueAt(scan, i));
  };

  test('slope 0 or not finite means none', async () => {
    const plain = await values(good);
    for (const slope of [0, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(await values(changed(setFloat(112, slope)))).toEqual(plain);
    }
    expect(await values(changed(setFloat(112, 2)))).toEqual(plain.map((v) => v * 2));
  });

  test('voxels that are not finite become air, and are counted', async () => {
    const voxels = Float32Array.from({ length: 512 }, (_, i) => (i % 100) * 10 - 900);
    voxels[3] = Number.NaN;
    voxels[4] = Number.POSITIVE_INFINITY;
    const scan = await read(encodeNifti({ shape: [8, 8, 8], affine, voxels, fastest: 'x' }));
    expect(scan.nonFinite).toBe(2);
    expect([valueAt(scan, 3), valueAt(scan, 4)]).toEqual([-1024, -1024]);
  });

  test('a background that is not finite does not make a CT of MR or of a label map', async () => {
    const reasonFor = async (value: (i: number) => number) => {
      const voxels = Float32Array.from({ length: 512 }, (_, i) => (i % 4 === 0 ? Number.NaN : value(i)));
      const scan = await read(encodeNifti({ shape: [8, 8, 8], affine, voxels, fastest: 'x' }));
      return notCtReason(scan, measure(scan), -175);
    };
    expect(await reasonFor((i) => (i * 7) % 1200)).toMatch(/no air: not CT/);
    expect(await reasonFor((i) => i % 3)).toMatch(/3 different whole values from 0 to 2: a label map/);
    expect(await reasonFor((i) => ((i * 7) % 1200) - 1000)).toBeUndefined();
    expect(await reasonFor((i) => (i % 3 === 0 ? -1024 : (i * 7) % 1200))).toBeUndefined();
    expect(await reasonFor(() => Number.NaN)).toMatch(/no finite voxel/);
  });

  test('negative voxel sizes do not mirror a scan', async () => {
    for (const form of [(_: DataView) => undefined, qformOnly]) {
      const plain = await read(changed(form));
      const negative = (view: DataView) => {
        form(view);
        setFloat(80, -2)(view);
      };
      const scan = await read(changed(negative));
      expect(scan.grid.affine).toEqual(plain.grid.affine);
      expect(scan.notes).toEqual([...plain.notes, 'negative voxel sizes read as positive']);
    }
  });

  test('a zero sform falls back on the qform', async () => {
    const scan = await read(changed(zeroSform));
    const note = 'sform and voxel sizes disagree: qform used, which has no code: check the orientation';
    expect(scan.notes).toContain(note);
  });

  test('a pair whose image is too short', async () => {
    const header = good.slice(0, 348);
    header[345] = 0x69;
    new DataView(header.buffer).setFloat32(108, 0, true);
    const pair = (bytes: number) =>
      readNifti(
        { path: 'a.hdr', blob: new Blob([header]) },
        { path: 'a.img', blob: new Blob([good.slice(352, 352 + bytes)]) },
      );
    await expect(pair(1000)).rejects.toThrow(/need the 1024 bytes/);
    expect((await pair(1024)).voxels.length).toBe(512);
  });
});

describe('scans that are no CT to train on', () => {
  const reason = async (voxels: Float32Array, shape: [number, number, number] = [8, 8, 8]) => {
    const file = fileOf('x.nii', encodeNifti({ shape, affine, voxels, fastest: 'x' }));
    const result = await directPool().prepare({ kind: 'NIfTI', path: 'x.nii', files: [file] }, DEFAULT_PREPARE);
    return result.usable ? 'usable' : result.reason;
  };
  const fill = (f: (i: number) => number, n = 512) => Float32Array.from({ length: n }, (_, i) => f(i));

  const cases: [string, Promise<string>, RegExp][] = [
    ['nothing finite', reason(fill(() => Number.NaN)), /^No finite voxel/],
    ['one value', reason(fill(() => 40)), /^Every voxel is 40/],
    ['air only', reason(fill((i) => -1000 + (i % 300))), /^Nothing above -175 HU \(values -1000 to -701\)/],
    ['a label map', reason(fill((i) => i % 5)), /^5 different whole values from 0 to 4: a label map/],
    ['MR', reason(fill((i) => i * 3.5)), /no air: not CT/],
    ['huge values', reason(fill((i) => i * 1000 - 2000)), /far above bone/],
    [
      'one slice',
      reason(
        fill((i) => i * 3 - 900, 64),
        [8, 8, 1],
      ),
      /^A single slice \(8 × 8 × 1\)/,
    ],
    [
      'three slices',
      reason(
        fill((i) => i * 3 - 900, 192),
        [8, 8, 3],
      ),
      /^Only 3 slices/,
    ],
    ['CT', reason(fill((i) => i * 3 - 900)), /^usable$/],
  ];
  for (const [name, result, message] of cases) test(name, async () => expect(await result).toMatch(message));
});

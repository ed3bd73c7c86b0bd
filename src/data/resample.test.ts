import { describe, expect, test } from 'vitest';
import { Random } from '../random.ts';
import { type Affine, apply, invert, type Triple } from './affine.ts';
import { type Grid, storedGrid, toRas } from './orientation.ts';
import { resample, targetGrid } from './resample.ts';
import { type Scan, valueAt } from './scan.ts';
import { decodeVoxels, type ScanDtype } from './voxels.ts';

const random = Random.of(4, 'resample');

function scanOf(shape: Triple, affine: Affine, dtype: ScanDtype): Scan {
  const bytes = new Uint8Array(shape[0] * shape[1] * shape[2] * (dtype === 'float32' ? 4 : 2));
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < bytes.length / (dtype === 'float32' ? 4 : 2); i++) {
    if (dtype === 'float32') view.setFloat32(4 * i, random.normal(i) * 500, true);
    else view.setInt16(2 * i, random.int(i, 3000) - 1000, true);
  }
  const decoded = decodeVoxels(bytes, dtype, true, { slope: 2, inter: -10 });
  return { grid: storedGrid(shape, affine), ...decoded, dtype, notes: [] };
}

/** Trilinear interpolation from its definition: the sum of eight corners by their shares. */
function naive(scan: Scan, grid: Grid, at: Triple): number {
  const position = apply(invert(grid.affine), at).map((p, k) => Math.max(0, Math.min(p, grid.shape[k]! - 1)));
  let sum = 0;
  for (let corner = 0; corner < 8; corner++) {
    let share = 1;
    let entry = grid.offset;
    for (let k = 0; k < 3; k++) {
      const low = Math.floor(position[k]!);
      const upper = (corner >> k) & 1;
      share *= upper ? position[k]! - low : 1 - (position[k]! - low);
      entry += Math.min(low + upper, grid.shape[k]! - 1) * grid.strides[k]!;
    }
    if (share > 0) sum += share * valueAt(scan, entry);
  }
  return sum;
}

const cases: [string, Triple, Affine][] = [
  ['finer', [9, 11, 7], [3, 0, 0, 5, 0, 2.2, 0, 1, 0, 0, 4, -3, 0, 0, 0, 1]],
  ['coarser', [21, 17, 40], [0.6, 0, 0, 5, 0, 0.7, 0, 1, 0, 0, 0.5, -3, 0, 0, 0, 1]],
  ['axes turned and mirrored', [9, 8, 21], [0, 0, -2, 5, -1, 0, 0, 1, 0, 1.5, 0, -3, 0, 0, 0, 1]],
  ['oblique', [12, 13, 9], [1.2, -0.2, 0.3, 5, 0.3, 1.1, -0.1, -7, -0.2, 0.2, 2.4, 11, 0, 0, 0, 1]],
  ['one voxel thick', [12, 1, 20], [2, 0, 0, 5, 0, 3, 0, 1, 0, 0, 2, -3, 0, 0, 0, 1]],
  ['already there', [6, 5, 18], [1.5, 0, 0, 5, 0, 1.5004, 0, 1, 0, 0, 1.5, -3, 0, 0, 0, 1]],
];

describe('resample', () => {
  for (const [name, shape, affine] of cases) {
    for (const dtype of ['int16', 'float32'] as const) {
      test(`${name}, ${dtype}: equals interpolation from its definition`, () => {
        const scan = scanOf(shape, affine, dtype);
        const grid = toRas(scan.grid);
        const volume = resample(scan, grid, 1.5);
        let worst = 0;
        let i = 0;
        for (let x = 0; x < volume.shape[0]; x++) {
          for (let y = 0; y < volume.shape[1]; y++) {
            for (let z = 0; z < volume.shape[2]; z++) {
              const expected = naive(scan, grid, apply(volume.affine, [x, y, z]));
              worst = Math.max(worst, Math.abs(volume.voxels[i++]! - expected));
            }
          }
        }
        expect(i).toBe(volume.voxels.length);
        expect(worst).toBeLessThan(3e-4); // float32 rounding at 6000 HU
      });
    }
  }

  test('sizes round half to even', () => {
    const width = (n: number, size: number) =>
      targetGrid(storedGrid([n, 2, 2], [size, 0, 0, 0, 0, 9, 0, 0, 0, 0, 9, 0, 0, 0, 0, 1]), 2)!.shape[0];
    expect(width(2, 3)).toBe(2); // 1.5 + 1 = 2.5
    expect(width(2, 5)).toBe(4); // 2.5 + 1 = 3.5
  });

  test('an absurd voxel size is refused in a sentence', () => {
    const grid = storedGrid([512, 512, 512], [900, 0, 0, 0, 0, 900, 0, 0, 0, 0, 900, 0, 0, 0, 0, 1]);
    expect(() => targetGrid(grid, 1.5)).toThrow(/460800 × 460800 × 460800 mm/);
  });
});

import { describe, expect, test } from 'vitest';
import { type Affine, apply, fromColumns, invert, multiply, nearestRotation, type Triple } from './affine.ts';
import { axisCodes, rasOrder, storedGrid, toRas } from './orientation.ts';

const oblique: Affine = [0.7, -0.2, 0.9, 5, 0.3, 1.1, -0.1, -7, -0.8, 0.2, 2.4, 11, 0, 0, 0, 1];

describe('affine', () => {
  test('the inverse undoes', () => {
    const product = multiply(invert(oblique), oblique);
    product.forEach((value, i) => {
      expect(value).toBeCloseTo(i % 5 === 0 ? 1 : 0, 12);
    });
  });

  test('the nearest rotation is orthonormal', () => {
    const axes = nearestRotation(oblique);
    for (let i = 0; i < 3; i++) {
      for (let j = 0; j < 3; j++) {
        const dot = axes[i]!.reduce((sum, value, k) => sum + value * axes[j]![k]!, 0);
        expect(dot).toBeCloseTo(i === j ? 1 : 0, 12);
      }
    }
  });
});

describe('orientation', () => {
  // The 48 axis-aligned grids: every permutation and sign.
  const letters: [string, Triple][] = [
    ['R', [1, 0, 0]],
    ['L', [-1, 0, 0]],
    ['A', [0, 1, 0]],
    ['P', [0, -1, 0]],
    ['S', [0, 0, 1]],
    ['I', [0, 0, -1]],
  ];
  const grids = letters.flatMap(([a, x]) =>
    letters.flatMap(([b, y]) => letters.map(([c, z]) => ({ code: a + b + c, columns: [x, y, z] as const }))),
  );
  const valid = grids.filter(({ columns }) => [0, 1, 2].every((w) => columns.some((c) => c[w] !== 0)));

  test('all 48 axis codes are read, and every voxel keeps its place in space', () => {
    expect(valid.length).toBe(48);
    for (const { code, columns } of valid) {
      const affine = fromColumns(...(columns as [Triple, Triple, Triple]), [3, -4, 5]);
      expect(axisCodes(affine)).toBe(code);
      const grid = storedGrid([2, 3, 4], affine);
      const ras = toRas(grid);
      expect(axisCodes(ras.affine)).toBe('RAS');
      const places = new Map<number, string>();
      for (let x = 0; x < 2; x++) {
        for (let y = 0; y < 3; y++) {
          for (let z = 0; z < 4; z++) places.set(x + 2 * y + 6 * z, apply(affine, [x, y, z]).join());
        }
      }
      for (let x = 0; x < ras.shape[0]; x++) {
        for (let y = 0; y < ras.shape[1]; y++) {
          for (let z = 0; z < ras.shape[2]; z++) {
            const entry = ras.offset + x * ras.strides[0] + y * ras.strides[1] + z * ras.strides[2];
            expect(apply(ras.affine, [x, y, z]).join()).toBe(places.get(entry));
          }
        }
      }
    }
  });

  test('an oblique grid goes to the nearest axes', () => {
    expect(rasOrder(oblique)).toEqual({ axes: [0, 1, 2], flips: [false, false, false] });
  });
});

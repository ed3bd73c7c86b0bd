import { describe, expect, test } from 'vitest';
import { Tape } from '../tape/tape.ts';
import { BrickGrid } from './grid.ts';
import { allVisible, randomMasks, visibleCount } from './mask.ts';
import { brickTable, brickTableData, NONE } from './table.ts';

describe('grid', () => {
  test('counts bricks an axis', () => {
    const grid = BrickGrid.ofCrop([96, 96, 64]);
    expect([grid.x, grid.y, grid.z, grid.cells]).toEqual([6, 6, 4, 144]);
    expect(grid.voxels(4)).toEqual([24, 24, 16]);
    expect(grid.equals(BrickGrid.ofCrop(96))).toBe(false);
  });

  test.each([[100], [0], [-16], [8], [Number.NaN], [[96, 96, 90] as const]])('refuses a crop of %s', (crop) => {
    expect(() => BrickGrid.ofCrop(crop as number)).toThrow(
      /Crop size: got .* need multiples of 16 voxels on every axis/,
    );
  });
});

describe('masks', () => {
  test('leave round(cells · (1 − ratio)) visible', () => {
    expect(visibleCount(216, 0.75)).toBe(54);
    expect(visibleCount(27, 0.75)).toBe(7);
    expect(visibleCount(216, 0)).toBe(216);
    expect(visibleCount(8, 0.6875)).toBe(2); // 2.5
    expect(visibleCount(27, 0.5)).toBe(14); // 13.5
  });

  test.each([
    [8, 0.99],
    [8, 0.01],
    [216, 1],
    [216, -0.1],
    [216, Number.NaN],
    [1, 0.5],
  ])('refuse %i patches at ratio %d', (cells, ratio) => {
    expect(() => visibleCount(cells, ratio)).toThrow(/at least one patch visible and one hidden/);
  });

  test('follow from seed, step and sample, each a valid draw', () => {
    const masks = randomMasks(3, 10, 4, 27, 0.75);
    expect(randomMasks(3, 10, 4, 27, 0.75)).toEqual(masks);
    expect(randomMasks(3, 11, 4, 27, 0.75)).not.toEqual(masks);
    expect(randomMasks(4, 10, 4, 27, 0.75)).not.toEqual(masks);
    expect(masks[0]).not.toEqual(masks[1]);
    for (const mask of masks) {
      expect(mask).toHaveLength(7);
      expect([...mask]).toEqual([...new Set(mask)].sort((a, b) => a - b));
    }
  });

  test('show every patch about equally often', () => {
    const seen = new Float64Array(27);
    for (let step = 0; step < 2000; step++) for (const cell of randomMasks(0, step, 1, 27, 0.75)[0]!) seen[cell]! += 1;
    const expected = (2000 * 7) / 27;
    for (const count of seen) expect(Math.abs(count - expected)).toBeLessThan(5 * Math.sqrt(expected));
  });
});

describe('brick table', () => {
  const grid = new BrickGrid(2, 3, 4);

  test('of all bricks: neighbours are the grid’s, and never another sample’s', () => {
    const { neighbours, cells, slots } = brickTableData(grid, allVisible(2, grid.cells));
    expect([...cells]).toEqual([...slots]);
    for (let s = 0; s < 2 * grid.cells; s++) {
      const cell = s % grid.cells;
      const at = [Math.floor(cell / 12), Math.floor(cell / 4) % 3, cell % 4] as const;
      for (let n = 0; n < 27; n++) {
        const [x, y, z] = [at[0] + Math.floor(n / 9) - 1, at[1] + (Math.floor(n / 3) % 3) - 1, at[2] + (n % 3) - 1];
        const inside = x >= 0 && x < 2 && y >= 0 && y < 3 && z >= 0 && z < 4;
        expect(neighbours[s * 27 + n]).toBe(inside ? s - cell + (x * 3 + y) * 4 + z : NONE);
      }
    }
  });

  test('of a visible set: hidden bricks are NONE, neighbourhood is symmetric', () => {
    const visible = [Uint32Array.of(0, 5, 6, 23), Uint32Array.of(1, 2, 12, 22)];
    const { neighbours, cells, slots } = brickTableData(grid, visible);
    expect([...cells]).toEqual([0, 5, 6, 23, 25, 26, 36, 46]);
    expect(slots.filter((slot) => slot !== NONE)).toHaveLength(8);
    cells.forEach((cell, slot) => {
      expect(slots[cell]).toBe(slot);
      expect(neighbours[slot * 27 + 13]).toBe(slot);
      for (let n = 0; n < 27; n++) {
        const other = neighbours[slot * 27 + n]!;
        if (other !== NONE) expect(neighbours[other * 27 + 26 - n]).toBe(slot);
      }
    });
    expect(neighbours[1 * 27 + 14]).toBe(2); // cell 5 → cell 6, one along z
  });

  test.each([
    ['an empty visible set', [Uint32Array.of()]],
    ['unsorted cells', [Uint32Array.of(3, 1)]],
    ['a cell twice', [Uint32Array.of(1, 1)]],
    ['a cell outside the grid', [Uint32Array.of(24)]],
  ])('refuses %s', (_, visible) => {
    expect(() => brickTableData(grid, visible)).toThrow(
      /Visible patches of sample 0: got .* need at least one, ascending, below 24/,
    );
  });

  test.each([
    [0, 4],
    [1, 0],
    [1, 25],
    [1.5, 4],
  ])('refuses to be declared for %d samples of %d bricks', (batch, perSample) => {
    expect(() => brickTable(new Tape(), 't', grid, batch, perSample)).toThrow(/Brick table "t"/);
  });
});

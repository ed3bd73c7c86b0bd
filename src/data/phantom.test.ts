import { describe, expect, test } from 'vitest';
import { axisCodes } from './orientation.ts';
import { makePhantom, type PhantomOptions, sampleOptions } from './phantom.ts';
import { ANATOMIES, PHANTOM_LABELS } from './phantom-anatomy.ts';

const options: PhantomOptions = {
  seed: 5,
  anatomy: 'chest',
  shape: [90, 70, 40],
  spacing: [4, 4, 5],
  orientation: 'LPS',
};

describe('phantom', () => {
  test('follows from its options alone', () => {
    const a = makePhantom(options);
    expect(makePhantom(options)).toEqual(a);
    expect(makePhantom({ ...options, seed: 6 }).hu).not.toEqual(a.hu);
  });

  for (const anatomy of ANATOMIES) {
    test(`${anatomy}: air, soft tissue and bone in HU, organs in the label map`, () => {
      const { hu, labels } = makePhantom({ ...options, anatomy });
      const share = (low: number, high: number) => hu.filter((v) => v >= low && v < high).length / hu.length;
      expect(share(-1024, -700)).toBeGreaterThan(0.1);
      expect(share(-100, 150)).toBeGreaterThan(0.05);
      expect(share(250, 3071)).toBeGreaterThan(0.001);
      expect(new Set(labels).size).toBeGreaterThanOrEqual(4);
      expect(labels.every((label) => label < PHANTOM_LABELS.length)).toBe(true);
      const lungs = hu.filter((_, i) => PHANTOM_LABELS[labels[i]!] === 'lung');
      for (const value of lungs) if (value > -600) expect.fail(`lung of ${value} HU`);
    });
  }

  test('the same body in another orientation: right stays right', () => {
    for (const orientation of ['RAS', 'LPS', 'PIL', 'ASL']) {
      const stored = { RAS: [90, 70, 40], LPS: [90, 70, 40], PIL: [70, 40, 90], ASL: [70, 40, 90] }[orientation]!;
      const spacing = stored.map((n) => (n === 40 ? 5 : 4)) as unknown as PhantomOptions['spacing'];
      const shape = stored as unknown as PhantomOptions['shape'];
      const phantom = makePhantom({ ...options, anatomy: 'abdomen', orientation, shape, spacing });
      expect(axisCodes(phantom.affine)).toBe(orientation);
      // The liver lies to the right: its mean x in mm is positive.
      let sum = 0;
      let count = 0;
      phantom.labels.forEach((label, at) => {
        if (PHANTOM_LABELS[label] !== 'liver') return;
        const [i, j, k] = [at % shape[0], Math.floor(at / shape[0]) % shape[1], Math.floor(at / shape[0] / shape[1])];
        sum += phantom.affine[0]! * i + phantom.affine[1]! * j + phantom.affine[2]! * k + phantom.affine[3]!;
        count++;
      });
      expect(sum / count).toBeGreaterThan(20);
    }
  });

  test('a bad orientation is refused', () => {
    expect(() => makePhantom({ ...options, orientation: 'RRS' })).toThrow(/"RRS"/);
  });

  test('samples vary', () => {
    const all = Array.from({ length: 40 }, (_, i) => sampleOptions(1, i));
    expect(new Set(all.map((o) => o.anatomy)).size).toBe(5);
    expect(new Set(all.map((o) => o.orientation)).size).toBe(5);
    expect(sampleOptions(1, 7)).toEqual(all[7]);
  });
});

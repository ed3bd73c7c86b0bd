/**
 * The bodies of the phantom: lists of simple shapes in mm (x to the right, y to the front, z to the head, around
 * the middle of the scan), painted one over the other. Proportions are a person's, details are not.
 */

import type { Random } from '../random.ts';
import type { Triple } from './affine.ts';

export const ANATOMIES = ['chest', 'abdomen', 'pelvis', 'neck', 'head'] as const;
export type Anatomy = (typeof ANATOMIES)[number];

/** Label map values. 0 is everything else. */
export const PHANTOM_LABELS = [
  'background',
  'bone',
  'lung',
  'heart',
  'liver',
  'spleen',
  'kidney',
  'bladder',
  'airway',
  'vessel',
  'brain',
  'lesion',
] as const;
export type PhantomLabel = (typeof PHANTOM_LABELS)[number];

/** An ellipsoid; `hollow` cuts its inside away, `bands` keeps slanted slices of it (ribs, vertebrae). */
export interface Shape {
  readonly label: PhantomLabel;
  readonly hu: number;
  readonly centre: Triple;
  readonly radii: Triple;
  /** Share of the radius below which nothing is painted. */
  readonly hollow?: number;
  /** Painted where ((z - slant |y|) / period) mod 1 is below `share`. */
  readonly bands?: { readonly period: number; readonly share: number; readonly slant: number };
}

/** The shapes of one body. `random` draws its size, its proportions and its lesions. */
export function anatomyShapes(anatomy: Anatomy, random: Random): Shape[] {
  let draws = 0;
  const vary = (value: number, by = 0.12) => value * (1 + by * (2 * random.uniform(draws++) - 1));
  const near = (value: number, by = 6) => value + by * (2 * random.uniform(draws++) - 1);
  const shape = (
    label: PhantomLabel,
    hu: number,
    centre: Triple,
    radii: Triple,
    more: Pick<Shape, 'hollow' | 'bands'> = {},
  ): Shape => ({
    label,
    hu: near(hu, 12),
    centre: [near(centre[0]), near(centre[1]), near(centre[2])],
    radii: [vary(radii[0]), vary(radii[1]), vary(radii[2])],
    ...more,
  });
  // Walls that lie within one another vary together.
  const size: Triple = [vary(1), vary(1), 1];
  const wall = (label: PhantomLabel, hu: number, radii: Triple, more: Pick<Shape, 'hollow' | 'bands'> = {}): Shape => ({
    label,
    hu: near(hu, 12),
    centre: [0, 0, 0],
    radii: [radii[0] * size[0], radii[1] * size[1], radii[2]],
    ...more,
  });
  const long = 4000; // a vertical radius that makes a tube of an ellipsoid

  const body = (rx: number, ry: number): Shape[] => [
    wall('background', -95, [rx, ry, long]),
    wall('background', 45, [rx - 18, ry - 18, long]),
  ];
  const spine = (y: number): Shape[] => [
    shape('bone', 260, [0, y, 0], [22, 20, long], { bands: { period: 30, share: 0.85, slant: 0 } }),
    shape('bone', 520, [0, y, 0], [22, 20, long], { hollow: 0.85, bands: { period: 30, share: 0.85, slant: 0 } }),
    shape('background', 25, [0, y - 27, 0], [9, 8, long]),
    shape('bone', 480, [0, y - 45, 0], [5, 14, long], { bands: { period: 30, share: 0.6, slant: 0 } }),
  ];
  const ribs = (rx: number, ry: number): Shape[] => [
    wall('bone', 420, [rx, ry, long], { hollow: 0.93, bands: { period: 32, share: 0.4, slant: 0.45 } }),
  ];
  const lesions = (count: number, within: number): Shape[] =>
    Array.from({ length: count }, () => {
      const radius = vary(7, 0.5);
      return shape(
        'lesion',
        near(70, 50),
        [near(0, within), near(0, within * 0.6), near(0, within)],
        [radius, radius, radius],
      );
    });

  switch (anatomy) {
    case 'chest':
      return [
        ...body(165, 115),
        ...ribs(140, 92),
        shape('lung', -830, [-68, 5, 0], [58, 78, 130]),
        shape('lung', -830, [68, 5, 0], [58, 78, 130]),
        shape('heart', 130, [14, 30, -40], [48, 42, 55]),
        shape('vessel', 170, [12, -28, 0], [13, 13, long]),
        shape('airway', -980, [0, 8, 60], [9, 9, 70]),
        ...Array.from({ length: 10 }, (_, i) =>
          shape(
            'vessel',
            60,
            [i % 2 ? 60 : -60, near(0, 40), near(0, 80)],
            [vary(4, 0.5), vary(4, 0.5), vary(30, 0.5)],
          ),
        ),
        ...spine(-62),
        ...lesions(3, 80),
      ];
    case 'abdomen':
      return [
        ...body(160, 112),
        ...ribs(138, 90),
        shape('liver', 105, [58, 18, 35], [72, 66, 65]),
        shape('spleen', 115, [-88, -25, 45], [28, 40, 45]),
        shape('background', -60, [-40, 45, 20], [46, 30, 34]),
        shape('background', -900, [-42, 58, 20], [28, 12, 20]),
        shape('kidney', 170, [62, -42, -20], [25, 28, 52]),
        shape('kidney', 170, [-62, -42, -15], [25, 28, 52]),
        shape('vessel', 190, [10, -30, 0], [11, 11, long]),
        shape('vessel', 140, [-14, -28, 0], [12, 10, long]),
        ...Array.from({ length: 8 }, () =>
          shape('background', near(20, 60), [near(0, 80), near(45, 20), near(-70, 40)], [vary(24), vary(18), vary(26)]),
        ),
        ...spine(-60),
        ...lesions(4, 70),
      ];
    case 'pelvis':
      return [
        ...body(180, 112),
        shape('bone', 320, [92, -18, 20], [34, 52, 90], { hollow: 0.75 }),
        shape('bone', 320, [-92, -18, 20], [34, 52, 90], { hollow: 0.75 }),
        shape('bone', 350, [105, 0, -85], [24, 24, 30]),
        shape('bone', 350, [-105, 0, -85], [24, 24, 30]),
        shape('bladder', 8, [0, 30, -50], [38, 32, 34]),
        shape('background', -500, [0, -45, -40], [16, 18, 40]),
        shape('vessel', 150, [42, 22, 0], [7, 8, long]),
        shape('vessel', 150, [-42, 22, 0], [7, 8, long]),
        ...spine(-66),
        ...lesions(2, 70),
      ];
    case 'neck':
      return [
        ...body(74, 68),
        shape('airway', -990, [0, 14, 0], [9, 10, long]),
        shape('background', 110, [0, 24, -20], [26, 13, 24]),
        shape('vessel', 180, [28, 6, 0], [5, 5, long]),
        shape('vessel', 180, [-28, 6, 0], [5, 5, long]),
        shape('bone', 480, [0, 48, 75], [46, 34, 18], { hollow: 0.72 }),
        ...spine(-20),
        ...lesions(2, 35),
      ];
    case 'head':
      return [
        wall('background', 35, [80, 98, 108]),
        wall('bone', 900, [74, 92, 100]),
        wall('brain', 34, [67, 85, 93]),
        shape('brain', 8, [14, 4, 12], [8, 30, 14]),
        shape('brain', 8, [-14, 4, 12], [8, 30, 14]),
        shape('airway', -950, [0, 68, -62], [16, 14, 24]),
        ...lesions(2, 45),
      ];
  }
}

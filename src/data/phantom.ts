/**
 * Sample scans from a seed: bodies of simple shapes in HU, with noise, tissue texture and a label map, on any grid.
 * They are the demo's data and the tests' data; nothing in them is of a person.
 */

import { HysparkError } from '../errors.ts';
import { Random } from '../random.ts';
import { type Affine, apply, fromColumns, invert, perAxis, scaled, type Triple } from './affine.ts';
import { ANATOMIES, type Anatomy, anatomyShapes, PHANTOM_LABELS, type Shape } from './phantom-anatomy.ts';

export interface PhantomOptions {
  readonly seed: number;
  readonly anatomy: Anatomy;
  /** Voxels along the stored axes. */
  readonly shape: Triple;
  /** Voxel sizes along the stored axes, mm. */
  readonly spacing: Triple;
  /** Where the stored axes point, e.g. `LPS`. */
  readonly orientation: string;
  /** Rotation about the left-right axis, in degrees, as with a tilted gantry. Default 0. */
  readonly tilt?: number;
  /** Standard deviation of the noise, HU. Default 15. */
  readonly noise?: number;
}

export interface Phantom {
  readonly shape: Triple;
  readonly affine: Affine;
  /** HU, x fastest as NIfTI stores them, -1024..3071. */
  readonly hu: Int16Array<ArrayBuffer>;
  /** Index into `PHANTOM_LABELS`, in the same order. */
  readonly labels: Uint8Array<ArrayBuffer>;
}

/** The phantom of `options`: equal options give equal voxels. Error `bad-argument` for what is no orientation. */
export function makePhantom(options: PhantomOptions): Phantom {
  const { shape } = options;
  const affine = phantomAffine(options);
  const count = shape[0] * shape[1] * shape[2];
  const hu = new Int16Array(count).fill(-1000);
  const labels = new Uint8Array(count);
  const shapes = anatomyShapes(options.anatomy, Random.of(options.seed, 'phantom', options.anatomy));
  for (const each of shapes) paint(each, shape, affine, hu, labels);
  addTexture(hu, shape, Random.of(options.seed, 'phantom', 'texture'), options.noise ?? 15);
  return { shape, affine, hu, labels };
}

/** Options number `index` of the sample collection `seed`: anatomy, spacing, orientation and size all vary. */
export function sampleOptions(seed: number, index: number): PhantomOptions {
  const random = Random.of(seed, 'sample', index);
  const anatomy = ANATOMIES[random.int(0, ANATOMIES.length)]!;
  const orientation = ['LPS', 'RAS', 'LAS', 'PIL', 'ASL'][random.int(1, 5)]!;
  const inPlane = 1.2 + 1.3 * random.uniform(2);
  const slice = 1.5 + 2.5 * random.uniform(3);
  const small = anatomy === 'head' || anatomy === 'neck';
  // In mm along x, y, z: around the body, and some 20 cm of it.
  const extent: Triple = [small ? 220 : 360, small ? 230 : 270, 150 + 80 * random.uniform(4)];
  const axes = worldAxes(orientation);
  const sizes: Triple = [inPlane, inPlane, slice];
  return {
    seed: random.word(5),
    anatomy,
    orientation,
    spacing: perAxis((k) => sizes[axes[k]!.axis]!),
    shape: perAxis((k) => Math.round(extent[axes[k]!.axis]! / sizes[axes[k]!.axis]!)),
    tilt: random.uniform(6) < 0.2 ? 20 * random.uniform(7) - 10 : 0,
    noise: 8 + 17 * random.uniform(8),
  };
}

/** The world axis (0, 1, 2 for x, y, z) and the direction of each stored axis. */
function worldAxes(orientation: string): { axis: number; sign: number }[] {
  const axes = [...orientation].map((letter) => {
    const place = 'RLAPSI'.indexOf(letter);
    return { axis: place >> 1, sign: place % 2 === 0 ? 1 : -1 };
  });
  if (axes.length !== 3 || [0, 1, 2].some((w) => !axes.some(({ axis }) => axis === w))) {
    throw new HysparkError('bad-argument', {
      doing: 'phantom',
      got: `orientation "${orientation}"`,
      need: 'three letters such as RAS or LPS',
    });
  }
  return axes;
}

/** The grid centred on the body's middle. */
function phantomAffine({ shape, spacing, orientation, tilt = 0 }: PhantomOptions): Affine {
  const angle = (tilt * Math.PI) / 180;
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  const turned: Triple[] = [
    [1, 0, 0],
    [0, cos, sin],
    [0, -sin, cos],
  ];
  const columns = worldAxes(orientation).map(({ axis, sign }, k) => scaled(turned[axis]!, sign * spacing[k]!));
  const origin = perAxis((w) => columns.reduce((sum, c, k) => sum - (c[w]! * (shape[k]! - 1)) / 2, 0));
  return fromColumns(...(columns as [Triple, Triple, Triple]), origin);
}

/** Paints one shape, looking only at the voxels of its bounding box. */
function paint(part: Shape, shape: Triple, affine: Affine, hu: Int16Array, labels: Uint8Array): void {
  const { start, end } = boundingBox(part, shape, affine);
  const label = PHANTOM_LABELS.indexOf(part.label);
  const value = Math.round(part.hu);
  const inner = (part.hollow ?? 0) ** 2;
  const { bands } = part;
  for (let k = start[2]; k < end[2]; k++) {
    for (let j = start[1]; j < end[1]; j++) {
      for (let i = start[0]; i < end[0]; i++) {
        const x = affine[0]! * i + affine[1]! * j + affine[2]! * k + affine[3]! - part.centre[0];
        const y = affine[4]! * i + affine[5]! * j + affine[6]! * k + affine[7]! - part.centre[1];
        const z = affine[8]! * i + affine[9]! * j + affine[10]! * k + affine[11]! - part.centre[2];
        const r = (x / part.radii[0]) ** 2 + (y / part.radii[1]) ** 2 + (z / part.radii[2]) ** 2;
        if (r > 1 || r < inner) continue;
        if (bands) {
          const phase = (z - bands.slant * y) / bands.period;
          if (phase - Math.floor(phase) > bands.share) continue;
        }
        const at = (k * shape[1] + j) * shape[0] + i;
        hu[at] = value;
        labels[at] = label;
      }
    }
  }
}

/** Voxels that can lie within the ellipsoid: the image of its box's corners under the inverse affine. */
function boundingBox(part: Shape, shape: Triple, affine: Affine): { start: Triple; end: Triple } {
  const inverse = invert(affine);
  const corners = Array.from({ length: 8 }, (_, c) =>
    apply(
      inverse,
      perAxis((w) => part.centre[w]! + (c & (1 << w) ? 1 : -1) * part.radii[w]!),
    ),
  );
  const within = (v: number, k: number) => Math.max(0, Math.min(v, shape[k]!));
  return {
    start: perAxis((k) => within(Math.floor(Math.min(...corners.map((c) => c[k]!))), k)),
    end: perAxis((k) => within(Math.ceil(Math.max(...corners.map((c) => c[k]!))) + 1, k)),
  };
}

/** Smooth waves of some 20 HU in tissue, and noise everywhere. */
function addTexture(hu: Int16Array, shape: Triple, random: Random, noise: number): void {
  const waves = perAxis((k) => 0.02 + 0.05 * random.uniform(k));
  const tables = [0, 1, 2].map((k) =>
    Float64Array.from({ length: shape[k]! }, (_, i) => Math.sin(2 * Math.PI * (waves[k]! * i + random.uniform(3 + k)))),
  ) as [Float64Array, Float64Array, Float64Array];
  let at = 0;
  for (let k = 0; k < shape[2]; k++) {
    for (let j = 0; j < shape[1]; j++) {
      const slow = 20 * tables[1][j]! * tables[2][k]!;
      for (let i = 0; i < shape[0]; i++, at++) {
        const base = hu[at]!;
        const wave = base > -500 ? slow * tables[0][i]! : 0;
        // Four bytes of one word: their sum is nearly normal, mean 510, deviation sqrt(4 (256² - 1) / 12) = 147.8.
        const word = random.word(64 + at);
        const sum = (word & 255) + ((word >>> 8) & 255) + ((word >>> 16) & 255) + (word >>> 24);
        const value = base + wave + (noise * (sum - 510)) / 147.8;
        hu[at] = Math.max(-1024, Math.min(3071, Math.round(value)));
      }
    }
  }
}

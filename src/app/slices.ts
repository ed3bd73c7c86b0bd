/**
 * Slices of volumes as pixels, displayed as radiologists do: the patient's right on the left of the picture, front or
 * head at the top. Volumes lie along RAS axes, so both directions of a picture run against their axis.
 */

export type Triple = readonly [number, number, number];
export type Axis = 0 | 1 | 2;

export interface Plane {
  readonly name: 'axial' | 'coronal' | 'sagittal';
  /** The axis that the slice stands on, and those that run against the picture's right and down. */
  readonly normal: Axis;
  readonly right: Axis;
  readonly down: Axis;
  /** Letters at the left, right, top and bottom. */
  readonly edges: readonly [string, string, string, string];
}

export const PLANES: readonly Plane[] = [
  { name: 'axial', normal: 2, right: 0, down: 1, edges: ['R', 'L', 'A', 'P'] },
  { name: 'coronal', normal: 1, right: 0, down: 2, edges: ['R', 'L', 'S', 'I'] },
  { name: 'sagittal', normal: 0, right: 1, down: 2, edges: ['A', 'P', 'S', 'I'] },
];

/** Voxel (x, y, z) is `values[x strides[0] + y strides[1] + z strides[2]]`. */
export interface Volume {
  readonly shape: Triple;
  readonly strides: Triple;
  readonly values: Int16Array | Uint8Array;
}

/** Colours by value, as little-endian RGBA words: entry `value + offset`. */
export interface Colours {
  readonly table: Uint32Array;
  readonly offset: number;
}

export function middle(shape: Triple): Triple {
  return [shape[0] >> 1, shape[1] >> 1, shape[2] >> 1];
}

/** Slice `index` of a plane, a pixel a voxel. */
export function slicePixels(volume: Volume, plane: Plane, index: number, colours: Colours): ImageData {
  const { shape, strides, values } = volume;
  const { normal, right, down } = plane;
  const [width, height] = [shape[right], shape[down]];
  const image = new ImageData(width, height);
  const words = new Uint32Array(image.data.buffer);
  const { table, offset } = colours;
  const step = strides[right];
  for (let v = 0; v < height; v++) {
    let at = index * strides[normal] + (height - 1 - v) * strides[down] + (width - 1) * step;
    for (let pixel = v * width; pixel < (v + 1) * width; pixel++, at -= step)
      words[pixel] = table[values[at]! + offset]!;
  }
  return image;
}

function rgba(r: number, g: number, b: number): number {
  return (0xff000000 | (b << 16) | (g << 8) | r) >>> 0;
}

/** Black to white over [low, high] HU. */
export function huColours(low: number, high: number): Colours {
  const offset = 32768;
  const table = new Uint32Array(65536);
  const scale = 255 / Math.max(1, high - low);
  for (let i = 0; i < table.length; i++) {
    const grey = Math.max(0, Math.min(255, Math.round((i - offset - low) * scale)));
    table[i] = rgba(grey, grey, grey);
  }
  return { table, offset };
}

/** For volumes of `asBytes`: 0 is hidden, 1..255 black to white. */
export const GREY: Colours = {
  offset: 0,
  table: Uint32Array.from({ length: 256 }, (_, i) => (i === 0 ? rgba(46, 66, 104) : rgba(i - 1, i - 1, i - 1))),
};

/** Differences of two such volumes: black over red and yellow to white at half of the range. */
export const HEAT: Colours = {
  offset: 0,
  table: Uint32Array.from({ length: 256 }, (_, i) => {
    const part = Math.min(1, i / 127);
    const channel = (from: number) => Math.round(255 * Math.max(0, Math.min(1, part * 3 - from)));
    return rgba(channel(0), channel(1), channel(2));
  }),
};

/** 0..1 → 1..255, NaN (hidden) → 0. */
export function asBytes(values: Float32Array): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(values.length);
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    out[i] = !Number.isNaN(value) ? 1 + Math.round(254 * Math.max(0, Math.min(1, value))) : 0;
  }
  return out;
}

export function difference(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(a.length);
  for (let i = 0; i < a.length; i++) out[i] = Math.abs(a[i]! - b[i]!);
  return out;
}

/** Windows in HU: [lowest, highest]. */
export const WINDOWS: readonly { readonly name: string; readonly range: readonly [number, number] }[] = [
  { name: 'Training', range: [-175, 250] },
  { name: 'Soft tissue', range: [-160, 240] },
  { name: 'Lung', range: [-1350, 150] },
  { name: 'Bone', range: [-770, 1730] },
  { name: 'Brain', range: [0, 80] },
  { name: 'Mediastinum', range: [-125, 225] },
];

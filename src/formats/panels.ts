/**
 * Slices of several volumes side by side in one picture: a column for each volume, a row for each plane through one voxel.
 * Displayed as radiologists do: the patient's right on the left of the picture, the front (or the head) at the top.
 */
import { HysparkError } from '../errors.ts';
import type { Bytes } from './bytes.ts';
import { drawText, GLYPH_HEIGHT, textWidth } from './font.ts';
import { encodePng, type RgbImage } from './png.ts';

type Triple = readonly [number, number, number];

export interface PanelColumn {
  readonly title: string;
  /** `[x, y, z]`, z fastest, RAS: x grows to the patient's right, y to the front, z to the head. NaN is drawn as "hidden". */
  readonly volume: Float32Array;
  /** The values drawn at the two ends of the colours; what lies outside is cut off. */
  readonly range: readonly [number, number];
  /** `grey`: black to white. `signed`: blue over black to red, for differences. Default `grey`. */
  readonly colours?: 'grey' | 'signed';
}

export interface PanelOptions {
  /** Voxels along x, y, z. */
  readonly size: Triple;
  /** The voxel where the planes meet. Default: the middle. */
  readonly at?: Triple;
  /** Pixels a voxel, whole. Default: so that the longest axis takes about 240. */
  readonly zoom?: number;
  /** A line above everything, e.g. the step and its loss. */
  readonly caption?: string;
}

/** `right` and `down` say which axis (0, 1, 2 for x, y, z) the picture's directions follow, each against its sense: see `drawSlice`. */
interface Plane {
  readonly name: string;
  /** The axis that the slice stands on. */
  readonly normal: 0 | 1 | 2;
  readonly right: 0 | 1 | 2;
  readonly down: 0 | 1 | 2;
  /** Letters at the left, right, top and bottom. */
  readonly edges: readonly [string, string, string, string];
}

const PLANES: readonly Plane[] = [
  { name: 'axial', normal: 2, right: 0, down: 1, edges: ['R', 'L', 'A', 'P'] },
  { name: 'coronal', normal: 1, right: 0, down: 2, edges: ['R', 'L', 'S', 'I'] },
  { name: 'sagittal', normal: 0, right: 1, down: 2, edges: ['A', 'P', 'S', 'I'] },
];

const BACKGROUND = [24, 26, 30] as const;
const HIDDEN = [52, 66, 92] as const;
const TEXT = [220, 222, 226] as const;
const LETTERS = [255, 205, 70] as const;
const GAP = 12;
const TEXT_SCALE = 2;
const LINE = GLYPH_HEIGHT * TEXT_SCALE + 6;

/**
 * What a pre-training run shows of one crop, as a PNG file: the original, what the network saw of it, its reconstruction, and
 * the error (reconstructed − original, red where too bright, blue where too dark, full colour at half the window).
 * @throws HysparkError `bad-shape` where a volume does not have the voxels of `size`, `bad-argument` for an option out of its range
 */
export function reconstructionPanels(
  volumes: {
    readonly original: Float32Array;
    /** The original with NaN where it was hidden. */
    readonly masked: Float32Array;
    readonly reconstructed: Float32Array;
    /** The values drawn black and white, e.g. 0 and 1. */
    readonly window: readonly [number, number];
  },
  options: PanelOptions,
): Bytes {
  const { original, masked, reconstructed, window } = volumes;
  const span = (window[1] - window[0]) / 2;
  const error = reconstructed.map((value, i) => value - original[i]!);
  const image = drawPanels(
    [
      { title: 'original', volume: original, range: window },
      { title: 'masked', volume: masked, range: window },
      { title: 'reconstructed', volume: reconstructed, range: window },
      { title: `error ±${Number(span.toPrecision(2))}`, volume: error, range: [-span, span], colours: 'signed' },
    ],
    options,
  );
  return encodePng(image);
}

/** Draws any columns. Errors as `reconstructionPanels`. */
export function drawPanels(columns: readonly PanelColumn[], options: PanelOptions): RgbImage {
  const { size, caption } = options;
  const at = options.at ?? (size.map((n) => Math.floor(n / 2)) as unknown as Triple);
  const zoom = options.zoom ?? Math.max(1, Math.floor(240 / Math.max(...size)));
  check(columns, size, at, zoom);

  const sliceWidth = Math.max(size[0], size[1]) * zoom;
  const cells = columns.map(({ title }) => Math.max(sliceWidth, textWidth(title, TEXT_SCALE)));
  const columnsWidth = cells.reduce((sum, cell) => sum + cell + GAP, GAP);
  const width = Math.max(columnsWidth, textWidth(caption ?? '', TEXT_SCALE) + 2 * GAP);
  const captionHeight = caption === undefined ? 0 : LINE;
  const height = PLANES.reduce((sum, { down }) => sum + LINE + size[down] * zoom + GAP, GAP + captionHeight + LINE);
  const image: RgbImage = { width, height, channels: 3, data: new Uint8Array(width * height * 3) };
  for (let i = 0; i < image.data.length; i += 3) image.data.set(BACKGROUND, i);

  let top = GAP;
  if (caption !== undefined) drawText(image, caption, GAP, top, TEXT_SCALE, TEXT);
  top += captionHeight;
  let left = GAP;
  for (const [i, { title }] of columns.entries()) {
    drawText(image, title, left, top, TEXT_SCALE, TEXT);
    left += cells[i]! + GAP;
  }
  top += LINE;
  for (const plane of PLANES) {
    drawText(image, `${plane.name} ${'xyz'[plane.normal]} ${at[plane.normal]}`, GAP, top, TEXT_SCALE, LETTERS);
    top += LINE;
    left = GAP;
    for (const [i, column] of columns.entries()) {
      drawSlice(image, column, plane, size, at, zoom, left, top);
      left += cells[i]! + GAP;
    }
    drawEdges(image, plane, GAP, top, size[plane.right] * zoom, size[plane.down] * zoom);
    top += size[plane.down] * zoom + GAP;
  }
  return image;
}

function check(columns: readonly PanelColumn[], size: Triple, at: Triple, zoom: number): void {
  const doing = 'drawing slices';
  if (size.some((n) => !Number.isInteger(n) || n < 1))
    throw new HysparkError('bad-shape', { doing, got: `size [${size}]`, need: 'three sizes above zero' });
  const need = size[0] * size[1] * size[2];
  for (const { title, volume, range } of columns) {
    if (!(range[0] < range[1]))
      throw new HysparkError('bad-argument', { doing, got: `range [${range}] of "${title}"` });
    if (volume.length !== need)
      throw new HysparkError('bad-shape', {
        doing,
        got: `"${title}" with ${volume.length} voxels`,
        need: `${need} of [${size}]`,
      });
  }
  if (at.some((i, axis) => !Number.isInteger(i) || i < 0 || i >= size[axis]!))
    throw new HysparkError('bad-argument', { doing, got: `voxel [${at}]`, need: `one within [${size}]` });
  if (!Number.isInteger(zoom) || zoom < 1 || zoom > 64)
    throw new HysparkError('bad-argument', { doing, got: `zoom ${zoom}`, need: '1 to 64' });
}

/**
 * Every axis grows to R, A or S, and these stand at the left and the top of the picture: so both directions of the picture run
 * against their axis, and pixel (u, v) of a plane shows voxel (n_right − 1 − u, n_down − 1 − v).
 */
function drawSlice(
  image: RgbImage,
  { volume, range, colours }: PanelColumn,
  { normal, right, down }: Plane,
  size: Triple,
  at: Triple,
  zoom: number,
  left: number,
  top: number,
): void {
  const strides = [size[1] * size[2], size[2], 1] as const;
  for (let v = 0; v < size[down] * zoom; v++)
    for (let u = 0; u < size[right] * zoom; u++) {
      const voxel =
        at[normal] * strides[normal] +
        (size[right] - 1 - Math.floor(u / zoom)) * strides[right] +
        (size[down] - 1 - Math.floor(v / zoom)) * strides[down];
      image.data.set(colourOf(volume[voxel]!, range, colours), ((top + v) * image.width + left + u) * 3);
    }
}

function colourOf(value: number, [low, high]: readonly [number, number], colours: PanelColumn['colours']): Triple {
  if (Number.isNaN(value)) return HIDDEN;
  const fraction = Math.min(1, Math.max(0, (value - low) / (high - low)));
  if (colours !== 'signed') {
    const grey = Math.round(255 * fraction);
    return [grey, grey, grey];
  }
  // from black at the middle: first to red (or blue), then towards white, so that large errors stand out
  const strength = Math.abs(2 * fraction - 1);
  const main = Math.round(255 * Math.min(1, 1.5 * strength));
  const rest = Math.round(255 * Math.max(0, 1.5 * strength - 0.75));
  return fraction > 0.5 ? [main, rest, Math.round(rest / 2)] : [Math.round(rest / 2), rest, main];
}

/** The letters of a plane, within the edges of its first slice. */
function drawEdges(image: RgbImage, { edges }: Plane, left: number, top: number, width: number, height: number): void {
  const letter = textWidth('R', TEXT_SCALE);
  const tall = GLYPH_HEIGHT * TEXT_SCALE;
  const middleX = left + Math.floor((width - letter) / 2);
  const middleY = top + Math.floor((height - tall) / 2);
  const places = [
    [left + 2, middleY],
    [left + width - letter - 2, middleY],
    [middleX, top + 2],
    [middleX, top + height - tall - 2],
  ] as const;
  for (const [i, [x, y]] of places.entries()) {
    drawText(image, edges[i]!, x + 1, y + 1, TEXT_SCALE, BACKGROUND); // a shadow, to be read on bone too
    drawText(image, edges[i]!, x, y, TEXT_SCALE, LETTERS);
  }
}

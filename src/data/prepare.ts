/** The loading chain from a scan to the volume that crops are cut from, and that volume's file in the cache. */

import { HysparkError } from '../errors.ts';
import type { Triple } from './affine.ts';
import { cropAndPad, foregroundBox } from './crop.ts';
import { applyWindow, WINDOW_HU, type WindowHu } from './intensity.ts';
import { toRas } from './orientation.ts';
import { resample } from './resample.ts';
import type { Scan } from './scan.ts';

/** What the chain does; part of the cache's key. */
export interface PrepareOptions {
  /** Voxel size after resampling, mm. */
  readonly spacing: number;
  /** HU that become 0 and 1. */
  readonly window: WindowHu;
  /** Volumes are padded with zeros so that no axis is shorter than this many voxels: the crop's edge. */
  readonly least: number;
}

export const DEFAULT_PREPARE: PrepareOptions = { spacing: 1.5, window: WINDOW_HU, least: 96 };

/** A scan ready for crops. */
export interface PreparedVolume {
  readonly shape: Triple;
  /** round(value * 65535) for values in 0..1, z fastest; what was above 0 stays above 0. Error at most 1/65535. */
  readonly voxels: Uint16Array<ArrayBuffer>;
  /** How many voxels above 0 each plane of constant x has: a drawn one is found without a pass over the volume. */
  readonly planes: Uint32Array<ArrayBuffer>;
}

/**
 * Orient to RAS, resample, window, cut to the foreground, pad. Memory: the scan and the resampled volume.
 * Error `set-aside` when nothing is above the window's lower end.
 */
export function prepareVolume(scan: Scan, options: PrepareOptions): PreparedVolume {
  const volume = resample(scan, toRas(scan.grid), options.spacing);
  applyWindow(volume.voxels, options.window);
  const box = foregroundBox(volume.voxels, volume.shape);
  if (box === undefined) {
    throw new HysparkError('set-aside', { doing: 'preparing', got: `nothing above ${options.window[0]} HU` });
  }
  const make = (count: number) => new Uint16Array(count);
  const { shape, voxels } = cropAndPad(volume, box, options.least, make, quantise);
  return { shape, voxels, planes: countPlanes(shape, voxels) };
}

function quantise(value: number): number {
  return value > 0 ? Math.max(1, Math.round(value * 65535)) : 0;
}

function countPlanes(shape: Triple, voxels: Uint16Array): Uint32Array<ArrayBuffer> {
  const planes = new Uint32Array(shape[0]);
  const size = shape[1] * shape[2];
  for (let x = 0; x < shape[0]; x++) {
    let count = 0;
    for (let i = x * size; i < (x + 1) * size; i++) if (voxels[i]! > 0) count++;
    planes[x] = count;
  }
  return planes;
}

/** First bytes of a cached volume: "HYV1". Then the shape and the planes as uint32, then the voxels as uint16. */
const MAGIC = 0x31565948;
const HEADER_WORDS = 4;

/** Bytes of the head of a cached volume: all but its voxels. */
export function headBytes(nx: number): number {
  return 4 * (HEADER_WORDS + nx);
}

/** Bytes of the file of a prepared volume. */
export function volumeBytes({ shape }: PreparedVolume): number {
  return headBytes(shape[0]) + 2 * shape[0] * shape[1] * shape[2];
}

/** The file of a prepared volume. */
export function encodeVolume({ shape, voxels, planes }: PreparedVolume): Uint8Array<ArrayBuffer> {
  const head = headBytes(shape[0]);
  const bytes = new Uint8Array(head + voxels.byteLength);
  new Uint32Array(bytes.buffer, 0, HEADER_WORDS).set([MAGIC, ...shape]);
  bytes.set(new Uint8Array(planes.buffer, planes.byteOffset, planes.byteLength), 4 * HEADER_WORDS);
  bytes.set(new Uint8Array(voxels.buffer, voxels.byteOffset, voxels.byteLength), head);
  return bytes;
}

/** The shape at the start of a cached volume; undefined when the file is not one of `size` bytes. */
export function decodeShape(start: Uint8Array, size: number): Triple | undefined {
  if (start.length < 4 * HEADER_WORDS) return undefined;
  const [magic, nx, ny, nz] = new Uint32Array(start.slice(0, 4 * HEADER_WORDS).buffer) as unknown as number[];
  if (magic !== MAGIC || headBytes(nx!) + 2 * nx! * ny! * nz! !== size) return undefined;
  return [nx!, ny!, nz!];
}

/** The planes in the head of a cached volume. */
export function decodePlanes(head: Uint8Array): Uint32Array<ArrayBuffer> {
  return new Uint32Array(head.slice(4 * HEADER_WORDS).buffer);
}

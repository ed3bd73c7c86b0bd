/** Compares the loading chain with golden `preprocess*` sets, stage by stage (golden/README.md, "Loading chain"). */

import { openAsBlob } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Triple } from '../data/affine.ts';
import { cropAndPad, cropStart, foregroundBox } from '../data/crop.ts';
import { applyWindow, WINDOW_HU } from '../data/intensity.ts';
import { readNifti } from '../data/nifti.ts';
import { storedGrid, toRas } from '../data/orientation.ts';
import { resample, type Volume } from '../data/resample.ts';
import type { Scan } from '../data/scan.ts';
import { valueAt } from '../data/scan.ts';
import { floatStatistics } from './statistics.ts';

/** One line of a golden comparison. */
export interface GoldenRow {
  readonly set: string;
  readonly group: string;
  /** How many numbers were compared; a group that compared none does not pass. */
  readonly compared: number;
  readonly worst: number;
  readonly tolerance: number;
  readonly pass: boolean;
}

interface Stage {
  readonly shape: readonly number[];
  readonly affine: readonly (readonly number[])[];
  readonly mean?: number;
  readonly std?: number;
  readonly min?: number;
  readonly max?: number;
  readonly sum?: number;
  readonly percentiles?: Readonly<Record<string, number>>;
  readonly samples?: { readonly index: readonly Triple[]; readonly value: readonly number[] };
  readonly box_start?: Triple;
  readonly box_end?: Triple;
}

interface Case {
  readonly file: string;
  readonly stages: Readonly<Record<string, Stage>>;
  readonly crop_centres: readonly { voxel: Triple; centre: Triple; start: Triple }[];
}

/** Suggested tolerances of golden/README.md: affines in mm, voxels in HU, voxels in 0..1; the rest must be equal. */
const TOLERANCES = { affine: 1e-5, hu: 0.02, unit: 1e-4, exact: 0 } as const;
type Kind = keyof typeof TOLERANCES;

/** The stages that this file computes; a manifest with another one is an error, not a pass. */
const STAGES = [
  'LoadImaged',
  'AddChanneld',
  'Orientationd',
  'Spacingd',
  'ScaleIntensityRanged',
  'CropForegroundd',
  'SpatialPadd',
];

/** Runs the chain on every case of `<dir>/<setName>.json` and compares each stage. */
export async function comparePreprocess(dir: string, setName: string): Promise<GoldenRow[]> {
  // Python writes NaN, the mean of an empty crop, which is no JSON.
  const text = (await readFile(join(dir, `${setName}.json`), 'utf8')).replace(/\bNaN\b/g, 'null');
  const manifest = JSON.parse(text) as {
    file: string;
    size: number;
    cases: Record<string, Case>;
  };
  const tensors = await readFloatTensors(join(dir, manifest.file));
  const tally = new Tally(setName);
  for (const [name, golden] of Object.entries(manifest.cases)) {
    const path = join(dir, 'inputs', golden.file);
    const scan = await readNifti({ path: golden.file, blob: await openAsBlob(path) });
    const stages = runStages(scan, manifest.size);
    for (const [stageName, stage] of Object.entries(golden.stages)) {
      const kind: Kind = STAGES.indexOf(stageName) <= STAGES.indexOf('Spacingd') ? 'hu' : 'unit';
      const ours = stages.get(stageName);
      if (ours === undefined) throw new Error(`${setName}: unknown stage ${stageName}`);
      compareStage(tally, stageName, kind, ours, stage);
      const coarse = tensors.get(`${name}/${stageName}.coarse`);
      if (coarse) tally.add(`${stageName} coarse`, kind, coarseMeans(ours.volume), coarse);
    }
    const { shape } = stages.get('SpatialPadd')!.volume;
    for (const { voxel, start } of golden.crop_centres) {
      tally.add('crop starts', 'exact', cropStart(voxel, manifest.size, shape), start);
    }
  }
  return tally.rows();
}

interface StageResult {
  readonly volume: Volume;
  readonly box?: { readonly start: Triple; readonly end: Triple };
}

/** Every stage of the chain by the reference's name. Stages that change nothing share the volume before them. */
function runStages(scan: Scan, size: number): Map<string, StageResult> {
  const loaded = { volume: copyOut(scan, scan.grid) };
  const ras = toRas(scan.grid);
  const oriented = { volume: copyOut(scan, ras) };
  const spaced = { volume: resample(scan, ras, 1.5) };
  const windowed = { volume: { ...spaced.volume, voxels: spaced.volume.voxels.slice() } };
  applyWindow(windowed.volume.voxels, WINDOW_HU);
  const none: Triple = [0, 0, 0];
  const box = foregroundBox(windowed.volume.voxels, windowed.volume.shape) ?? { start: none, end: none };
  const float = (count: number) => new Float32Array(count);
  const same = (value: number) => value;
  const cropped = { volume: cropAndPad(windowed.volume, box, 0, float, same), box };
  const padded = { volume: cropAndPad(windowed.volume, box, size, float, same) };
  const results = [loaded, loaded, oriented, spaced, windowed, cropped, padded];
  return new Map(STAGES.map((name, i) => [name, results[i]!]));
}

/** A grid's voxels as HU, z fastest. */
function copyOut(scan: Scan, { shape, strides, offset, affine }: Scan['grid']): Volume {
  const out = storedGrid([shape[2], shape[1], shape[0]], affine); // z fastest is x fastest of the reversed shape
  const voxels = new Float32Array(shape[0] * shape[1] * shape[2]);
  for (let x = 0; x < shape[0]; x++) {
    for (let y = 0; y < shape[1]; y++) {
      for (let z = 0; z < shape[2]; z++) {
        const entry = offset + x * strides[0] + y * strides[1] + z * strides[2];
        voxels[x * out.strides[2] + y * out.strides[1] + z] = valueAt(scan, entry);
      }
    }
  }
  return { shape, voxels, affine };
}

function compareStage(tally: Tally, name: string, kind: Kind, ours: StageResult, golden: Stage): void {
  const { volume } = ours;
  tally.add('shapes', 'exact', volume.shape, golden.shape.slice(-3));
  tally.add(`${name} affine`, 'affine', volume.affine, golden.affine.flat());
  if (golden.box_start) tally.add('boxes', 'exact', ours.box?.start ?? [], golden.box_start);
  if (golden.box_end) tally.add('boxes', 'exact', ours.box?.end ?? [], golden.box_end);
  if (golden.mean !== undefined) {
    const s = floatStatistics(volume.voxels, Object.keys(golden.percentiles ?? {}).map(Number));
    const count = volume.voxels.length;
    // The sum is compared as a mean: its size depends on the volume's.
    const pairs: [number, number | undefined][] = [
      [s.mean, golden.mean],
      [s.std, golden.std],
      [s.min, golden.min],
      [s.max, golden.max],
      [s.sum / count, golden.sum === undefined ? undefined : golden.sum / count],
      ...Object.values(golden.percentiles ?? {}).map((p, i): [number, number] => [s.percentiles[i]!, p]),
    ];
    const known = pairs.filter((pair): pair is [number, number] => pair[1] != null);
    tally.add(
      `${name} statistics`,
      kind,
      known.map(([a]) => a),
      known.map(([, b]) => b),
    );
  }
  if (golden.samples) {
    const { index, value } = golden.samples;
    const [, ny, nz] = volume.shape;
    tally.add(
      `${name} samples`,
      kind,
      index.map(([x, y, z]) => volume.voxels[(x * ny + y) * nz + z]!),
      value,
    );
  }
}

/** Means of blocks of 8³ voxels, remainders dropped. */
function coarseMeans({ shape, voxels }: Volume): Float64Array {
  const [cx, cy, cz] = shape.map((n) => Math.floor(n / 8)) as unknown as Triple;
  const means = new Float64Array(cx * cy * cz);
  for (let x = 0; x < cx * 8; x++) {
    for (let y = 0; y < cy * 8; y++) {
      for (let z = 0; z < cz * 8; z++) {
        means[((x >> 3) * cy + (y >> 3)) * cz + (z >> 3)]! += voxels[(x * shape[1] + y) * shape[2] + z]! / 512;
      }
    }
  }
  return means;
}

/** Worst absolute differences by group. */
class Tally {
  readonly #set: string;
  readonly #groups = new Map<string, { kind: Kind; compared: number; worst: number }>();

  constructor(set: string) {
    this.#set = set;
  }

  add(group: string, kind: Kind, ours: ArrayLike<number>, golden: ArrayLike<number>): void {
    const entry = this.#groups.get(group) ?? { kind, compared: 0, worst: 0 };
    this.#groups.set(group, entry);
    entry.compared += golden.length;
    if (ours.length !== golden.length) entry.worst = Number.POSITIVE_INFINITY;
    for (let i = 0; i < golden.length; i++) {
      const difference = Math.abs(ours[i]! - golden[i]!);
      if (!(difference <= entry.worst)) entry.worst = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference;
    }
  }

  rows(): GoldenRow[] {
    return [...this.#groups].map(([group, { kind, compared, worst }]) => {
      const tolerance = TOLERANCES[kind];
      return { set: this.#set, group, compared, worst, tolerance, pass: compared > 0 && worst <= tolerance };
    });
  }
}

/** The F32 tensors of a `.safetensors` file: a length, a JSON header, the data. */
async function readFloatTensors(path: string): Promise<Map<string, Float32Array>> {
  const file = await readFile(path);
  const headerBytes = Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.toString('utf8', 8, 8 + headerBytes)) as Record<
    string,
    { dtype: string; data_offsets: [number, number] }
  >;
  const tensors = new Map<string, Float32Array>();
  for (const [name, entry] of Object.entries(header)) {
    if (name === '__metadata__' || entry.dtype !== 'F32') continue;
    const bytes = file.subarray(8 + headerBytes + entry.data_offsets[0], 8 + headerBytes + entry.data_offsets[1]);
    tensors.set(name, new Float32Array(Uint8Array.from(bytes).buffer));
  }
  return tensors;
}

/** The manifests of golden data, read into one form: the small sets', with tensors in a file, and the full-size one's. */

import { type HostTensor, toFloat32 } from '../../formats/tensor.ts';
import type { HySparkConfig } from '../../models/hyspark/config.ts';
import type { Scale } from './tolerances.ts';

/** Where golden files come from: a folder in Node, files bundled with the tests elsewhere. Names are relative to it. */
export interface GoldenFolder {
  readonly sets: readonly string[];
  json(file: string): Promise<unknown>;
  tensors(file: string): Promise<ReadonlyMap<string, HostTensor>>;
}

/** A tensor by its sums and some of its values. */
export interface Sampled {
  readonly shape: readonly number[];
  readonly sum: number;
  readonly l2: number;
  readonly max_abs: number;
  /** Flat indices in C order, and the values there. */
  readonly index: readonly number[];
  readonly value: readonly number[];
}

/** A tensor by its sums and first values. */
export interface Checksum {
  readonly sum: number;
  readonly sumsq: number;
  readonly first4: readonly number[];
}

/** What is known of a tensor: all of it, or samples. */
export type Expected = { readonly values: Float32Array } | Sampled;

export interface Steps {
  readonly lr: number;
  readonly weight_decay: number;
  readonly clip: number;
  readonly betas: readonly [number, number];
  readonly eps: number;
  readonly loss: readonly number[];
  readonly grad_norm: readonly number[];
  readonly after_step_1: Readonly<Record<string, Checksum>>;
  readonly after_step_5: Readonly<Record<string, Checksum>>;
}

/** One training pass from weights filled by the formula. */
export interface Pass {
  readonly loss: number;
  readonly activations: ReadonlyMap<string, Expected>;
  readonly gradients: ReadonlyMap<string, Expected>;
  /** Further expectations of the same gradients: all of their values. */
  readonly wholeGradients: ReadonlyMap<string, Expected>;
  readonly runningStatistics: ReadonlyMap<string, Expected | Checksum>;
  readonly steps?: Steps;
}

export interface PretrainSet {
  readonly name: string;
  readonly config: HySparkConfig;
  readonly scale: Scale;
  readonly seed: number;
  readonly batch: number;
  /** [batch, crop, crop, crop], in 0..1 */
  readonly input: Float32Array;
  /** Visible cells of each sample; then for each optimiser step. */
  readonly visible: readonly Uint32Array[];
  readonly stepVisible: readonly (readonly Uint32Array[])[];
  readonly plain: Pass;
  readonly smooth?: Pass;
  readonly lossEval?: number;
  readonly noGradient: ReadonlySet<string>;
  readonly zeroGradient: ReadonlySet<string>;
  readonly cancelling: ReadonlySet<string>;
}

interface RawPass {
  readonly loss: number;
  readonly sampled?: Record<string, Sampled>;
  readonly activation?: Record<string, Sampled>;
  readonly rec?: Sampled;
  readonly grad: { readonly sampled: Record<string, Sampled> } | Record<string, Sampled>;
  readonly bn?: Record<string, Checksum>;
  readonly steps?: Steps;
}

export interface RawPretrain extends RawPass {
  readonly file?: string;
  readonly config: Record<string, number & number[]>;
  readonly seed: number;
  readonly batch: number;
  readonly input: { readonly file: string; readonly tensors: string[]; readonly window_hu: [number, number] };
  readonly mask?: number[];
  readonly pos_embed?: Sampled;
  readonly none_grad: string[];
  readonly zero_grad: string[];
  readonly cancelling_grad: string[];
  readonly loss_eval?: number;
  readonly smooth?: RawPass;
}

/** Reads a pre-training set. Throws when its masks do not fit its configuration. */
export async function readPretrainSet(folder: GoldenFolder, name: string): Promise<PretrainSet> {
  const raw = (await folder.json(`${name}.json`)) as RawPretrain;
  const tensors = raw.file ? await folder.tensors(raw.file) : new Map<string, HostTensor>();
  const c = raw.config;
  const config = {
    crop: c.img,
    channels: c.channels,
    blocks: c.depths,
    expansion: c.exp_r,
    vitDepth: c.vit_depth,
    heads: c.heads,
    width: c.width,
    maskRatio: c.mask_ratio,
  } as unknown as HySparkConfig;
  const cells = (config.crop / 16) ** 3;
  const masks = Uint8Array.from((tensors.get('mask')?.data as Uint8Array | undefined) ?? raw.mask ?? []);
  const stepMasks = (tensors.get('step_masks')?.data as Uint8Array | undefined) ?? new Uint8Array(0);
  const perStep = raw.batch * cells;
  return {
    name,
    config,
    // The full-size sets hold samples only; the others are told apart by the decoder's width.
    scale: raw.activation ? 'base' : config.width >= 256 ? 'mid' : 'tiny',
    seed: raw.seed,
    batch: raw.batch,
    input: windowed(await folder.tensors(`inputs/${raw.input.file}`), raw.input),
    visible: visibleCells(masks, raw.batch, cells),
    stepVisible: Array.from({ length: stepMasks.length / perStep }, (_, n) =>
      visibleCells(stepMasks.subarray(n * perStep, (n + 1) * perStep), raw.batch, cells),
    ),
    plain: {
      ...pass(raw, tensors, ''),
      activations: new Map([
        ...Object.entries({ ...raw.sampled, ...raw.activation, ...(raw.pos_embed && { pos_embed: raw.pos_embed }) }),
        ...whole(tensors, (key) => (/^(mask|step_masks)$|\//.test(key) ? undefined : key)),
      ]),
    },
    smooth: raw.smooth && pass(raw.smooth, tensors, 'smooth_'),
    lossEval: raw.loss_eval,
    noGradient: new Set(raw.none_grad),
    zeroGradient: new Set(raw.zero_grad),
    cancelling: new Set(raw.cancelling_grad),
  };
}

function pass(raw: RawPass, tensors: ReadonlyMap<string, HostTensor>, prefix: string): Pass {
  const gradients = ('sampled' in raw.grad ? raw.grad.sampled : raw.grad) as Record<string, Sampled>;
  const under = (folder: string) =>
    whole(tensors, (key) => (key.startsWith(folder) ? key.slice(folder.length) : undefined));
  return {
    loss: raw.loss,
    activations: new Map(Object.entries({ ...raw.activation, ...(raw.rec && { rec: raw.rec }) })),
    gradients: new Map(Object.entries(gradients)),
    wholeGradients: under(`${prefix}grad/`),
    runningStatistics: new Map<string, Expected | Checksum>([
      ...Object.entries(raw.bn ?? {}),
      ...under(`${prefix}bn/`),
    ]),
    steps: raw.steps,
  };
}

function whole(
  tensors: ReadonlyMap<string, HostTensor>,
  name: (key: string) => string | undefined,
): Map<string, Expected> {
  const found = new Map<string, Expected>();
  for (const [key, tensor] of tensors) {
    const named = name(key);
    if (named !== undefined) found.set(named, { values: toFloat32(tensor) });
  }
  return found;
}

/** The crops as the network sees them: clamp((HU − low) / (high − low), 0, 1), each operation rounded to float32. */
function windowed(tensors: ReadonlyMap<string, HostTensor>, input: RawPretrain['input']): Float32Array {
  const [low, high] = input.window_hu;
  const crops = input.tensors.map((name) => {
    const tensor = tensors.get(name);
    if (!tensor) throw new Error(`${input.file} has no tensor "${name}"`);
    return toFloat32(tensor);
  });
  const all = new Float32Array(crops.reduce((sum, crop) => sum + crop.length, 0));
  let at = 0;
  for (const crop of crops) {
    for (const hu of crop) all[at++] = Math.min(1, Math.max(0, Math.fround(Math.fround(hu - low) / (high - low))));
  }
  return all;
}

function visibleCells(mask: Uint8Array, batch: number, cells: number): Uint32Array[] {
  if (mask.length !== batch * cells) throw new Error(`a mask of ${mask.length} cells for ${batch} × ${cells}`);
  return Array.from({ length: batch }, (_, sample) => {
    const own = mask.subarray(sample * cells, (sample + 1) * cells);
    return Uint32Array.from([...own.keys()].filter((cell) => own[cell]));
  });
}

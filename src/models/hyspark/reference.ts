/**
 * The reference's state dict: its keys (with its spelling, `expend`), their order, PyTorch's shapes and layouts, against the
 * names and layouts of this engine. Source: the public code of HySparK; key lists in golden/state_dict_keys.json.
 */

import type { ParameterSpec } from '../../nn/declare.ts';
import type { Shape } from '../../tape/tensor.ts';
import { sizeOf } from '../../tape/tensor.ts';
import type { HySparkConfig } from './config.ts';

/** One entry of the reference's state dict. */
export interface ReferenceEntry {
  readonly key: string;
  /** Name of the tensor in this engine; none for `num_batches_tracked`, which counts passes. */
  readonly name?: string;
}

/** The part of the full model that the encoder alone consists of, and how its keys begin there. */
export const ENCODER_PREFIX = 'sparse_encoder.';

type Layout = Pick<ParameterSpec, 'layout' | 'shape'>;

const AFFINE = [
  ['weight', 'weight'],
  ['bias', 'bias'],
] as const;

/** Every entry in the reference's order, which is also the order of its optimiser's parameters. */
export function referenceEntries(config: HySparkConfig): ReferenceEntry[] {
  const entries: ReferenceEntry[] = [];
  const affine = (key: string, name: string) => {
    for (const [theirs, ours] of AFFINE) entries.push({ key: `${key}.${theirs}`, name: `${name}.${ours}` });
  };
  const batchNorm = (key: string, name: string) => {
    affine(key, name);
    entries.push({ key: `${key}.running_mean`, name: `${name}.runningMean` });
    entries.push({ key: `${key}.running_var`, name: `${name}.runningVariance` });
    entries.push({ key: `${key}.num_batches_tracked` });
  };
  const convPair = (key: string, name: string) => {
    // A sequence of convolution, norm, ReLU, twice; the ReLUs at 2 and 5 hold nothing.
    affine(`${key}.0`, `${name}.conv1`);
    batchNorm(`${key}.1`, `${name}.norm1`);
    affine(`${key}.3`, `${name}.conv2`);
    batchNorm(`${key}.4`, `${name}.norm2`);
  };
  const range = (count: number) => Array.from({ length: count }, (_, i) => i);

  const embeddings = `${ENCODER_PREFIX}embeddings`;
  affine(`${embeddings}.stem`, 'stem');
  config.blocks.forEach((blocks, s) => {
    for (const b of range(blocks)) {
      const [key, name] = [`${embeddings}.layer${s + 1}.${b}`, `stage${s + 1}.${b}`];
      affine(`${key}.conv1`, `${name}.depthwise`);
      affine(`${key}.norm`, `${name}.norm`);
      affine(`${key}.conv2`, `${name}.expand`);
      affine(`${key}.conv3`, `${name}.project`);
    }
  });
  for (const s of [1, 2, 3, 4]) affine(`${embeddings}.expend${s}`, `widen${s}`);

  const mae = `${ENCODER_PREFIX}mae`;
  entries.push({ key: `${mae}.pos_embed`, name: 'vit.positions' }, { key: `${mae}.mask_token`, name: 'vit.maskToken' });
  for (const b of range(config.vitDepth)) {
    const [key, name] = [`${mae}.blocks.${b}`, `vit.${b}`];
    affine(`${key}.norm1`, `${name}.norm1`);
    affine(`${key}.attn.qkv`, `${name}.qkv`);
    affine(`${key}.attn.proj`, `${name}.projection`);
    affine(`${key}.norm2`, `${name}.norm2`);
    affine(`${key}.mlp.fc1`, `${name}.fc1`);
    affine(`${key}.mlp.fc2`, `${name}.fc2`);
  }
  affine(`${mae}.norm`, 'vit.norm');

  for (const n of range(4)) {
    affine(`dense_decoder.dec.${n}.up_sample`, `decoder.${n}.up`);
    convPair(`dense_decoder.dec.${n}.conv`, `decoder.${n}`);
  }
  for (const n of range(4)) convPair(`dense_decoder.fuse.${n}.conv`, `fuse.${n}`);
  affine('dense_decoder.proj', 'reconstruct');
  for (const n of range(5)) affine(`densify_projs.${n}`, `densify.${n}`);
  for (const n of range(5)) entries.push({ key: `mask_tokens.${n}`, name: `maskToken.${n}` });
  return entries;
}

/** PyTorch's shape of a tensor of ours. */
export function referenceShape(key: string, { layout, shape }: Layout): Shape {
  const [a = 1, b = 1, c = 1] = shape;
  if (layout === 'conv3') return [c, b, 3, 3, 3]; // ours [27, in, out]
  if (layout === 'depthwise') return [b, 1, 3, 3, 3]; // ours [27, C]
  if (layout === 'transposed') return [a, c, 2, 2, 2]; // ours [in, 8, out]
  if (layout === 'linear') return key.includes('mae.') ? [b, a] : [b, a, 1, 1, 1]; // a linear layer, or a 1³ convolution
  if (key.includes('mask_tokens.')) return [1, a, 1, 1, 1];
  if (key.endsWith('mae.mask_token')) return [1, 1, a];
  return key.endsWith('pos_embed') ? [1, a, b] : shape;
}

/** PyTorch's elements as three axes in C order, and the stride of each axis among ours. */
function axes({ layout, shape }: Layout): { sizes: number[]; strides: number[] } {
  const [a = 1, b = 1, c = 1] = shape;
  // (out, in, taps) ← [taps, in, out]; taps run x-major in both
  if (layout === 'conv3') return { sizes: [c, b, a], strides: [1, c, b * c] };
  if (layout === 'depthwise') return { sizes: [1, b, a], strides: [0, 1, b] };
  // (in, out, children) ← [in, children, out]
  if (layout === 'transposed') return { sizes: [a, c, b], strides: [b * c, 1, c] };
  if (layout === 'linear') return { sizes: [1, b, a], strides: [0, 1, b] };
  return { sizes: [1, 1, sizeOf(shape)], strides: [0, 0, 1] };
}

/** Our elements in PyTorch's order. */
export function toReference(spec: Layout, ours: Float32Array): Float32Array<ArrayBuffer> {
  const theirs = new Float32Array(ours.length);
  walk(spec, (from, at) => {
    theirs[at] = ours[from]!;
  });
  return theirs;
}

/** PyTorch's elements in our order. */
export function fromReference(spec: Layout, theirs: Float32Array): Float32Array<ArrayBuffer> {
  const ours = new Float32Array(theirs.length);
  walk(spec, (to, at) => {
    ours[to] = theirs[at]!;
  });
  return ours;
}

/** Calls back with our index and PyTorch's of every element. */
function walk(spec: Layout, visit: (ours: number, theirs: number) => void): void {
  const { sizes, strides } = axes(spec);
  const [n0, n1, n2] = sizes as [number, number, number];
  const [s0, s1, s2] = strides as [number, number, number];
  let at = 0;
  for (let i = 0; i < n0; i++) {
    for (let j = 0; j < n1; j++) {
      for (let k = 0; k < n2; k++) visit(i * s0 + j * s1 + k * s2, at++);
    }
  }
}

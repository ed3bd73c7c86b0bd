/**
 * The model's weights as PyTorch's state dict, out and in: the full model as the reference's resume file, and the encoder alone under
 * the keys that fine-tuning takes. Parameters that nothing reads are written as they would have started, and only checked on
 * the way in.
 */

import { HysparkError } from '../../errors.ts';
import type { Bytes } from '../../formats/bytes.ts';
import { asStateDict, OrderedDict, type PthInput, PyFloat, readPth, Tuple, writePth } from '../../formats/pth.ts';
import { type HostTensor, type TensorSource, toFloat32 } from '../../formats/tensor.ts';
import type { ParameterSpec } from '../../nn/declare.ts';
import { initialValues } from '../../nn/initialisers.ts';
import { type Shape, shapeText, sizeOf, type Tensor } from '../../tape/tensor.ts';
import type { HySparK } from './hyspark.ts';
import { ENCODER_PREFIX, fromReference, referenceEntries, referenceShape, toReference } from './reference.ts';

/** One entry of the state dict of a model. */
export interface ModelEntry {
  readonly key: string;
  /** PyTorch's. */
  readonly shape: Shape;
  /** None for `num_batches_tracked`. */
  readonly spec?: ParameterSpec;
}

/** All entries in the reference's order. Throws `bad-state` if the model and the list of keys disagree. */
export function modelEntries({ declare, config }: HySparK): ModelEntry[] {
  const left = new Set(declare.specs.keys());
  const entries = referenceEntries(config).map(({ key, name }): ModelEntry => {
    if (name === undefined) return { key, shape: [] };
    const spec = declare.specs.get(name);
    if (!left.delete(name) || !spec)
      throw new HysparkError('bad-state', { doing: `State dict: "${key}"`, got: `no "${name}"` });
    return { key, shape: referenceShape(key, spec), spec };
  });
  if (left.size > 0)
    throw new HysparkError('bad-state', { doing: 'State dict', got: `no key for ${[...left].join()}` });
  return entries;
}

export interface ExportOptions {
  /** The run's: parameters that nothing reads start from it. */
  readonly seed: number;
  /** Training passes so far, which batch norms count. */
  readonly passes: number;
}

/** The full model's state dict; tensors are read from the device when their turn comes, and no step may be submitted before the last is. */
export function exportStateDict(model: HySparK, options: ExportOptions): OrderedDict<TensorSource> {
  return exported(model, '', options);
}

/** The encoder's alone, keys without `sparse_encoder.`. */
export function exportEncoder(model: HySparK, options: ExportOptions): OrderedDict<TensorSource> {
  return exported(model, ENCODER_PREFIX, options);
}

function exported(model: HySparK, prefix: string, { seed, passes }: ExportOptions): OrderedDict<TensorSource> {
  const entries = modelEntries(model).filter(({ key }) => key.startsWith(prefix));
  const read = model.declare.variables.readerOf(entries.flatMap(({ spec }) => spec?.tensor ?? []));
  const source = ({ key, shape, spec }: ModelEntry): TensorSource => {
    if (!spec) {
      const count = key.startsWith(UNUSED_NORMS) ? 0 : passes;
      return { dtype: 'I64', shape, data: BigInt64Array.of(BigInt(count)) };
    }
    const { tensor, initialiser, name } = spec;
    const values = async () =>
      tensor ? await read(tensor) : initialValues(initialiser, seed, name, sizeOf(spec.shape));
    return { dtype: 'F32', shape, data: async () => toReference(spec, await values()) };
  };
  return new OrderedDict(entries.map((entry) => [entry.key.slice(prefix.length), source(entry)]));
}

/** The first fusion is never used, so its norms count nothing. */
const UNUSED_NORMS = 'dense_decoder.fuse.0.';

/** What a state dict covers of a model. */
export interface Coverage {
  /** Keys whose values went in, or were checked where nothing reads them. */
  readonly taken: readonly string[];
  readonly missing: readonly string[];
  readonly unexpected: readonly string[];
  readonly mismatched: readonly { readonly key: string; readonly got: string; readonly need: string }[];
}

export interface ImportOptions {
  /** Take what fits and leave the rest as it is, instead of failing. */
  readonly partial?: boolean;
  /** False where an optimiser's state is not wanted: it need not fit then. */
  readonly moments?: boolean;
  /** Name of the file, for errors. */
  readonly file?: string;
}

/**
 * Compares a state dict with the model, of the full model or of the encoder alone (recognised by its keys), and returns
 * what would go where.
 */
function match(model: HySparK, state: ReadonlyMap<string, HostTensor>) {
  const full = [...state.keys()].some((key) => key.startsWith(ENCODER_PREFIX));
  const prefix = full ? '' : ENCODER_PREFIX;
  const entries = modelEntries(model).filter(({ key }) => key.startsWith(prefix));
  const known = new Map(entries.map((entry) => [entry.key.slice(prefix.length), entry]));
  const fitting: { key: string; tensor: HostTensor; entry: ModelEntry }[] = [];
  const mismatched: { key: string; got: string; need: string }[] = [];
  for (const [key, entry] of known) {
    const tensor = state.get(key);
    if (!tensor) continue;
    const same = shapeText(tensor.shape) === shapeText(entry.shape);
    if (same) fitting.push({ key, tensor, entry });
    else mismatched.push({ key, got: shapeText(tensor.shape), need: shapeText(entry.shape) });
  }
  const coverage: Coverage = {
    taken: fitting.map(({ key }) => key),
    missing: [...known.keys()].filter((key) => !state.has(key)),
    unexpected: [...state.keys()].filter((key) => !known.has(key)),
    mismatched,
  };
  return { fitting, coverage };
}

/**
 * Puts a state dict into the model. Everything is checked before anything is written.
 * @throws HysparkError `mismatch` naming the keys that are missing, not expected or of another shape, unless `partial`
 */
export function importStateDict(
  model: HySparK,
  state: ReadonlyMap<string, HostTensor>,
  options: ImportOptions = {},
): Coverage & { readonly passes: number } {
  const { fitting, coverage } = match(model, state);
  if (!options.partial) requireWhole(coverage, options.file);
  let passes = 0;
  for (const { tensor, entry } of fitting) {
    if (entry.spec?.tensor) {
      model.declare.variables.write(entry.spec.tensor, fromReference(entry.spec, toFloat32(tensor)));
    } else if (!entry.spec) passes = Math.max(passes, Number(tensor.data[0]));
  }
  return { ...coverage, passes };
}

function requireWhole({ missing, unexpected, mismatched }: Coverage, file = 'a state dict'): void {
  const some = (keys: readonly string[]) => `${keys.slice(0, 5).join(', ')}${keys.length > 5 ? ', …' : ''}`;
  const faults = [
    missing.length > 0 && `${missing.length} missing (${some(missing)})`,
    unexpected.length > 0 && `${unexpected.length} unexpected (${some(unexpected)})`,
    mismatched.length > 0 &&
      `${mismatched.length} of another shape (${some(mismatched.map((m) => `${m.key} ${m.got} instead of ${m.need}`))})`,
  ].filter(Boolean);
  if (faults.length === 0) return;
  throw new HysparkError('mismatch', {
    doing: `Loading ${file} into the model`,
    got: `keys ${faults.join('; ')}`,
    advice: 'Build the model with the configuration of the file, or load only what fits',
  });
}

export interface ResumeState extends ExportOptions {
  /** Optimiser steps taken. */
  readonly step: number;
  /** Whole epochs done; the reference resumes at the next. */
  readonly epochs: number;
  /** What the reference prints: lowest and last loss. */
  readonly performance: string;
  readonly learningRate: number;
  readonly weightDecay: number;
}

/** The reference's resume file: the full model, its optimiser, and the fields that its loader reads. */
export function writeResumePth(model: HySparK, state: ResumeState): AsyncGenerator<Bytes> {
  const { crop, maskRatio, width } = model.config;
  const config = new Map<string, PthInput>([
    ['mask_ratio', new PyFloat(maskRatio)],
    ['densify_norm_str', 'ln'], // named there and ignored
    ['sbn', false],
    ['hierarchy', 5],
    ['sparse_encoder.input_size', crop],
    ['dense_decoder.width', width],
  ]);
  const module = new OrderedDict<PthInput>([...exportStateDict(model, state), ['config', config]]);
  return writePth(
    new Map<string, PthInput>([
      ['args', 'written by hyspark-webgpu'],
      ['input_size', crop],
      ['arch', 'hyspark'],
      ['epoch', state.epochs - 1],
      ['performance_desc', state.performance],
      ['module', module],
      ['optimizer', optimiserState(model, state)],
      ['is_pretrain', true],
    ]),
  );
}

/** The encoder alone, as fine-tuning loads it. */
export function writeEncoderPth(model: HySparK, options: ExportOptions): AsyncGenerator<Bytes> {
  return writePth(exportEncoder(model, options));
}

/** The entries that PyTorch counts as parameters, whose place in the list is their name in an optimiser's state. */
function parameterEntries(model: HySparK): (ModelEntry & { readonly spec: ParameterSpec })[] {
  const buffers = /\.(running_mean|running_var|num_batches_tracked)$/;
  return modelEntries(model).filter(({ key }) => !buffers.test(key)) as (ModelEntry & { spec: ParameterSpec })[];
}

function isTrained(spec: ParameterSpec): spec is ParameterSpec & { readonly tensor: Tensor } {
  return spec.role === 'parameter' && spec.tensor !== undefined;
}

/** `torch.optim.AdamW(...).state_dict()`: moments of every parameter that has a gradient. */
function optimiserState(model: HySparK, { step, learningRate, weightDecay }: ResumeState): Map<string, PthInput> {
  const { variables } = model.declare;
  const entries = parameterEntries(model);
  const trained = entries.flatMap(({ shape, spec }, index) =>
    step > 0 && isTrained(spec) ? [{ index, shape, spec, ...variables.momentsOf(spec.tensor) }] : [],
  );
  const read = variables.readerOf(trained.flatMap(({ firstMoment, secondMoment }) => [firstMoment, secondMoment]));
  const moments = new Map<number, PthInput>();
  for (const { index, shape, spec, firstMoment, secondMoment } of trained) {
    const source = (moment: Tensor): TensorSource => ({
      dtype: 'F32',
      shape,
      data: async () => toReference(spec, await read(moment)),
    });
    moments.set(
      index,
      new Map<string, PthInput>([
        ['step', { dtype: 'F32', shape: [], data: Float32Array.of(step) }],
        ['exp_avg', source(firstMoment)],
        ['exp_avg_sq', source(secondMoment)],
      ]),
    );
  }
  const group = new Map<string, PthInput>([
    ['lr', new PyFloat(learningRate)],
    ['betas', new Tuple([new PyFloat(0.9), new PyFloat(0.999)])],
    ['eps', new PyFloat(1e-8)],
    ['weight_decay', new PyFloat(weightDecay)],
    ['amsgrad', false],
    ['maximize', false],
    ['foreach', null],
    ['capturable', false],
    ['params', entries.map((_, index) => index)],
  ]);
  return new Map<string, PthInput>([
    ['state', moments],
    ['param_groups', [group]],
  ]);
}

/**
 * Reads a `.pth` of the full model, with or without an optimiser's state, or of the encoder alone. Nothing is written to the model
 * before everything is checked. Moments that the file does not have become zero.
 * @throws HysparkError `bad-file` or `unsupported` as `readPth`, `mismatch` as `importStateDict`
 */
export function loadPth(
  model: HySparK,
  bytes: Uint8Array,
  options: ImportOptions = {},
): Coverage & { readonly passes: number; readonly step: number; readonly epochs: number } {
  const file = options.file ?? '.pth file';
  const value = readPth(bytes, file);
  const top = value instanceof Map ? value : new Map();
  const inner = top.get('module');
  const state = new Map(inner instanceof Map ? inner : top);
  state.delete('config'); // repeats what the shapes say, but for the mask ratio, which is the run's choice
  const tensors = asStateDict(inner instanceof Map || value instanceof Map ? state : value, file);
  const { moments, step } = readMoments(model, options.moments === false ? undefined : top.get('optimizer'), file);
  const imported = importStateDict(model, tensors, { ...options, file });
  const { variables } = model.declare;
  for (const { spec } of parameterEntries(model)) {
    if (!isTrained(spec)) continue;
    const { firstMoment, secondMoment } = variables.momentsOf(spec.tensor);
    const found = moments.get(spec);
    const zero = () => new Float32Array(firstMoment.size);
    variables.write(firstMoment, found ? fromReference(spec, toFloat32(found.first)) : zero());
    variables.write(secondMoment, found ? fromReference(spec, toFloat32(found.second)) : zero());
  }
  const epoch = top.get('epoch');
  return { ...imported, step, epochs: typeof epoch === 'number' ? epoch + 1 : 0 };
}

/** The moments in an optimiser's state, checked against the model's shapes. */
function readMoments(model: HySparK, optimiser: unknown, file: string) {
  const moments = new Map<ParameterSpec, { first: HostTensor; second: HostTensor }>();
  let step = 0;
  const states = optimiser instanceof Map ? optimiser.get('state') : undefined;
  if (!(states instanceof Map)) return { moments, step };
  const entries = parameterEntries(model);
  for (const [index, state] of states) {
    const entry = entries[index as number];
    const doing = `Loading ${file}: optimiser state of parameter ${String(index)} (${entry?.key ?? 'none of that number'})`;
    if (!entry || !(state instanceof Map)) {
      throw new HysparkError('mismatch', { doing, got: 'no such parameter', need: `numbers below ${entries.length}` });
    }
    const tensor = (name: string) => {
      const [found] = asStateDict(new Map([[name, state.get(name)]]), file).values();
      if (shapeText(found!.shape) === shapeText(entry.shape)) return found!;
      throw new HysparkError('mismatch', { doing, got: shapeText(found!.shape), need: shapeText(entry.shape) });
    };
    moments.set(entry.spec, { first: tensor('exp_avg'), second: tensor('exp_avg_sq') });
    const count: unknown = state.get('step');
    step = Math.max(
      step,
      typeof count === 'number' ? count : Number((count as HostTensor | undefined)?.data?.[0] ?? 0),
    );
  }
  return { moments, step };
}

import { beforeAll, describe, expect, test } from 'vitest';
import { concatChunks } from '../../formats/bytes.ts';
import { writePth } from '../../formats/pth.ts';
import { type HostTensor, loadBytes, viewAs } from '../../formats/tensor.ts';
import type { Device } from '../../gpu/device.ts';
import { testDevice } from '../../testing/device.ts';
import { SMALL, smallModel, trainer } from '../../testing/hyspark.ts';
import {
  exportEncoder,
  exportStateDict,
  importStateDict,
  loadPth,
  modelEntries,
  writeEncoderPth,
  writeResumePth,
} from './checkpoint.ts';
import type { HySparK } from './hyspark.ts';
import { fromReference, toReference } from './reference.ts';

const RUN = { seed: 7, passes: 3 };
const RESUME = {
  ...RUN,
  step: 3,
  epochs: 2,
  performance: '1.0000 1.1000',
  learningRate: 1e-4,
  weightDecay: 0.04,
};

let device: Device;
/** A model that has trained three steps. */
let trained: HySparK;
beforeAll(async () => {
  device = await testDevice();
  trained = await smallModel(device, RUN.seed);
  const { train, destroy } = await trainer(device, trained);
  for (let step = 0; step < 3; step++) await train(step);
  destroy();
});

/** A state dict in memory. */
type State = Map<string, HostTensor>;
async function held(sources: ReturnType<typeof exportStateDict>): Promise<State> {
  const entries = [...sources].map(async ([key, source]): Promise<[string, HostTensor]> => {
    const data = viewAs(source.dtype, await loadBytes(source, String(key)));
    return [String(key), { dtype: source.dtype, shape: source.shape, data }];
  });
  return new Map(await Promise.all(entries));
}
const full = async (model: HySparK) => held(exportStateDict(model, RUN));

/** Both moments of every parameter. */
async function moments(model: HySparK) {
  const { variables } = model.declare;
  const all = variables.parameters.map((parameter) => variables.momentsOf(parameter));
  return Promise.all(
    all.flatMap((m) => [m.firstMoment, m.secondMoment]).map(async (t) => [...(await variables.read(t))]),
  );
}

describe('layouts', () => {
  test.each([
    // PyTorch's index of ours, written out per layout
    ['conv3', [27, 2, 3], ([t, i, o]: number[]) => (o! * 2 + i!) * 27 + t!],
    ['depthwise', [27, 5], ([t, c]: number[]) => c! * 27 + t!],
    ['transposed', [3, 8, 2], ([i, child, o]: number[]) => (i! * 2 + o!) * 8 + child!],
    ['linear', [4, 3], ([i, o]: number[]) => o! * 4 + i!],
    ['vector', [6], ([c]: number[]) => c!],
  ] as const)('%s %j', (layout, shape, at) => {
    const size = shape.reduce((a, b) => a * b, 1);
    const theirs = Float32Array.from({ length: size }, (_, i) => i);
    const ours = fromReference({ layout, shape }, theirs);
    for (let flat = 0; flat < size; flat++) {
      const index = [...shape]
        .reverse()
        .reduce<{ rest: number; index: number[] }>(
          ({ rest, index }, n) => ({ rest: Math.floor(rest / n), index: [rest % n, ...index] }),
          { rest: flat, index: [] },
        ).index;
      expect(ours[flat]).toBe(at(index));
    }
    expect(toReference({ layout, shape }, ours)).toEqual(theirs);
  });

  test('every tensor of the model has a key, whatever the configuration', async () => {
    const entries = modelEntries(trained);
    expect(new Set(entries.map(({ key }) => key)).size).toBe(entries.length);
    expect(entries.filter(({ spec }) => spec).length).toBe(trained.declare.specs.size);
    const blocks = SMALL.blocks.reduce((a, b) => a + b, 0);
    // stem, blocks of 8, 4 × expend, 2 of mae, ViT blocks of 12, norm; 4 × (up + pair), 4 pairs of 14, proj; densify, tokens
    expect(entries.length).toBe(2 + 8 * blocks + 8 + 2 + 12 * SMALL.vitDepth + 2 + 4 * (2 + 14) + 4 * 14 + 2 + 10 + 5);
  });
});

describe('state dict', () => {
  test('goes out and in bit for bit', async () => {
    const state = await full(trained);
    const model = await smallModel(device, RUN.seed + 1);
    // what nothing reads starts from the seed and is not taken from the file
    const coverage = importStateDict(model, state);
    expect(await full(model)).toEqual(state);
    expect(coverage).toMatchObject({ passes: 3, missing: [], unexpected: [], mismatched: [] });
    expect(coverage.taken).toEqual([...state.keys()]);
    expect(state.get('dense_decoder.fuse.0.conv.1.num_batches_tracked')!.data).toEqual(BigInt64Array.of(0n));
    expect(state.get('dense_decoder.fuse.1.conv.1.num_batches_tracked')!.data).toEqual(BigInt64Array.of(3n));
  });

  test('the encoder alone goes into a full model', async () => {
    const state = await held(exportEncoder(trained, RUN));
    expect([...state.keys()].every((key) => /^(embeddings|mae)\./.test(key))).toBe(true);
    const model = await smallModel(device, 2);
    const before = await full(model);
    expect(importStateDict(model, state).taken).toEqual([...state.keys()]);
    const after = await full(model);
    for (const [key, tensor] of after) {
      const own = key.startsWith('sparse_encoder.') && state.get(key.slice('sparse_encoder.'.length));
      expect(tensor.data, key).toEqual((own || before.get(key)!).data);
    }
  });

  test.each([
    [
      'a missing key',
      (state: State) => state.delete('densify_projs.2.weight'),
      /1 missing \(densify_projs\.2\.weight\)/,
    ],
    [
      'an unexpected key',
      (state: State) => state.set('dense_decoder.extra', state.get('mask_tokens.0')!),
      /1 unexpected \(dense_decoder\.extra\)/,
    ],
    [
      'a wrong shape',
      (state: State) => state.set('sparse_encoder.embeddings.expend1.weight', state.get('mask_tokens.0')!),
      /1 of another shape \(sparse_encoder\.embeddings\.expend1\.weight \[1, 6, 1, 1, 1\] instead of \[3, 2, 3, 3, 3\]\)/,
    ],
    [
      'a wrong shape of what nothing reads',
      (state: State) => state.set('mask_tokens.4', state.get('mask_tokens.0')!),
      /mask_tokens\.4 \[1, 6, 1, 1, 1\] instead of \[1, 3, 1, 1, 1\]/,
    ],
  ])('%s fails by name and loads nothing, or is left out on request', async (_, spoil, message) => {
    const state = await full(trained);
    spoil(state);
    const model = await smallModel(device, 3);
    const before = await full(model);
    expect(() => importStateDict(model, state, { file: 'x.pth' })).toThrow(
      expect.objectContaining({ code: 'mismatch', message: expect.stringMatching(message) }),
    );
    expect(await full(model)).toEqual(before);
    const coverage = importStateDict(model, state, { partial: true });
    expect(coverage.missing.length + coverage.unexpected.length + coverage.mismatched.length).toBe(1);
    const stem = 'sparse_encoder.embeddings.stem.weight';
    expect((await full(model)).get(stem)).toEqual(state.get(stem));
  });
});

describe('.pth', () => {
  test('the resume file brings weights, moments and counts back', async () => {
    const before = device.counters.submissions;
    const bytes = await concatChunks(writeResumePth(trained, RESUME));
    expect(device.counters.submissions - before).toBe(2); // all weights together, and all moments
    const model = await smallModel(device, RUN.seed);
    expect(loadPth(model, bytes)).toMatchObject({ step: 3, epochs: 2, passes: 3, missing: [], unexpected: [] });
    expect(await full(model)).toEqual(await full(trained));
    expect(await moments(model)).toEqual(await moments(trained));
  });

  test('the encoder file; moments start anew', async () => {
    const bytes = await concatChunks(writeEncoderPth(trained, RUN));
    const model = await smallModel(device, 4);
    expect(loadPth(model, bytes)).toMatchObject({ step: 0, epochs: 0, missing: [], unexpected: [], mismatched: [] });
    expect(await held(exportEncoder(model, RUN))).toEqual(await held(exportEncoder(trained, RUN)));
    expect((await moments(model)).flat().every((value) => value === 0)).toBe(true);
  });

  test.each([
    ['truncated', (bytes: Uint8Array) => bytes.subarray(0, bytes.length / 2), 'bad-file'],
    ['damaged inside', (bytes: Uint8Array) => bytes.map((byte, i) => (i === 1000 ? byte ^ 1 : byte)), 'bad-file'],
    ['no file at all', () => new Uint8Array(0), 'bad-file'],
  ])('a file that is %s', async (_, spoil, code) => {
    const bytes = await concatChunks(writeResumePth(trained, RESUME));
    const model = await smallModel(device, 5);
    const before = await full(model);
    expect(() => loadPth(model, spoil(bytes), { file: 'x.pth' })).toThrow(expect.objectContaining({ code }));
    expect(await full(model)).toEqual(before);
  });

  test('an optimiser state of other shapes, or of no parameter, is refused by name', async () => {
    const wrong = (index: number) => {
      const one = { dtype: 'F32' as const, shape: [1], data: Float32Array.of(0) };
      const state = new Map([['step', one], ['exp_avg', one], ['exp_avg_sq', one]]); // biome-ignore format: one line
      return new Map<string, never>([['optimizer', new Map([['state', new Map([[index, state]])]])]] as never);
    };
    const model = await smallModel(device, 6);
    for (const [index, message] of [
      [0, /parameter 0 \(sparse_encoder\.embeddings\.stem\.weight\): got \[1\], need \[2, 1, 3, 3, 3\]/],
      [9999, /parameter 9999 \(none of that number\)/],
    ] as const) {
      const file = new Map<string, never>([['module', exportStateDict(trained, RUN)], ...wrong(index)] as never);
      const bytes = await concatChunks(writePth(file));
      expect(() => loadPth(model, bytes)).toThrow(
        expect.objectContaining({ code: 'mismatch', message: expect.stringMatching(message) }),
      );
    }
  });

  test('a file that holds no state dict', async () => {
    const bytes = await concatChunks(writePth(new Map<string, string>([['epoch', 'none']])));
    const model = await smallModel(device, 6);
    expect(() => loadPth(model, bytes)).toThrow(expect.objectContaining({ code: 'mismatch' }));
  });
});

import { beforeAll, expect, test } from 'vitest';
import { concatChunks } from '../formats/bytes.ts';
import { writeSafetensors } from '../formats/safetensors.ts';
import type { Device } from '../gpu/device.ts';
import type { HySparK } from '../models/hyspark/hyspark.ts';
import { testDevice } from '../testing/device.ts';
import { SMALL, smallModel, trainer } from '../testing/hyspark.ts';
import { openCheckpoint, writeCheckpoint } from './checkpoint.ts';

const RUN = { step: 3, passes: 3, seed: 11, cursor: { epoch: 1, at: 5 }, configuration: { model: SMALL } };

let device: Device;
/** After three steps: the file; after three more: every number of the run that was not interrupted. */
let file: Uint8Array<ArrayBuffer>;
let uninterrupted: { losses: number[]; values: number[][] };
beforeAll(async () => {
  device = await testDevice();
  const model = await smallModel(device, RUN.seed);
  const { train, destroy } = await trainer(device, model);
  for (let step = 0; step < 3; step++) await train(step);
  const before = device.counters.submissions;
  file = await concatChunks(writeCheckpoint(model.declare, RUN));
  expect(device.counters.submissions - before).toBe(1); // all tensors come together
  const losses = [await train(3), await train(4), await train(5)];
  uninterrupted = { losses, values: await values(model) };
  destroy();
});

/** Parameters, moments and running statistics. */
function values({ declare }: HySparK): Promise<number[][]> {
  const { variables } = declare;
  const moments = variables.parameters.flatMap((parameter) => Object.values(variables.momentsOf(parameter)));
  const all = [...variables.parameters, ...moments, ...variables.states];
  return Promise.all(all.map(async (tensor) => [...(await variables.read(tensor))]));
}

test('a resumed run equals an uninterrupted one bit for bit', async () => {
  const checkpoint = await openCheckpoint(new Blob([file]));
  expect(checkpoint.run).toEqual(RUN);
  const model = await smallModel(device, 99);
  await checkpoint.load(model.declare);
  const { train, destroy } = await trainer(device, model);
  const losses = [await train(3), await train(4), await train(5)];
  expect({ losses, values: await values(model) }).toEqual(uninterrupted);
  expect(new Set(losses).size).toBe(3);
  destroy();
});

test('a truncated file, another kind of file and damaged metadata are refused', async () => {
  const open = (bytes: Uint8Array<ArrayBuffer>) => openCheckpoint(new Blob([bytes]), 'run.safetensors');
  const refusal = (message: RegExp) => ({ code: 'bad-file', message: expect.stringMatching(message) });
  await expect(open(file.slice(0, file.length - 1))).rejects.toMatchObject(refusal(/run\.safetensors.*truncated/));
  const other = async (metadata: Record<string, string>) =>
    open(await concatChunks(writeSafetensors(new Map(), metadata)));
  await expect(other({})).rejects.toMatchObject(refusal(/another kind/));
  const format = 'hyspark-webgpu checkpoint 1';
  const newer = { code: 'unsupported', message: expect.stringMatching(/checkpoint 9.*another version/) };
  await expect(other({ format: 'hyspark-webgpu checkpoint 9' })).rejects.toMatchObject(newer);
  await expect(other({ format, run: '{' })).rejects.toMatchObject(refusal(/not JSON/));
  await expect(other({ format, run: '{"step":1.5}' })).rejects.toMatchObject(refusal(/step is 1.5/));
});

test('a model of another configuration is refused by the names of what differs, and nothing is written', async () => {
  const model = await smallModel(device, 5, { ...SMALL, channels: [2, 3, 4, 5, 12], vitDepth: 1 });
  const before = await values(model);
  const checkpoint = await openCheckpoint(new Blob([file]));
  await expect(checkpoint.load(model.declare)).rejects.toMatchObject({
    code: 'mismatch',
    message: expect.stringMatching(/stage5\.0\.depthwise\.weight is F32 \[27, 6\] instead of F32 \[27, 12\]/),
  });
  expect(await values(model)).toEqual(before);
});

/** Our checkpoints in PyTorch, and PyTorch's in ours. Runs where Debian's python3-torch is installed. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { concatChunks } from '../../formats/bytes.ts';
import { loadBytes } from '../../formats/tensor.ts';
import { Declarations } from '../../nn/declare.ts';
import { sizeOf } from '../../tape/tensor.ts';
import { Variables } from '../../tape/variables.ts';
import { testDevice } from '../../testing/device.ts';
import { smallModel, trainer } from '../../testing/hyspark.ts';
import { hasTorch, runPython, torchNote } from '../../testing/python.ts';
import { sharedPath, testWithShared } from '../../testing/shared.ts';
import {
  exportEncoder,
  exportStateDict,
  loadPth,
  modelEntries,
  writeEncoderPth,
  writeResumePth,
} from './checkpoint.ts';
import { PRESETS } from './config.ts';
import { HySparK } from './hyspark.ts';

const KEYS = 'golden/state_dict_keys.json';

testWithShared(KEYS)("base has the reference's keys, their order and shapes", () => {
  const expected = JSON.parse(readFileSync(sharedPath(KEYS), 'utf8')) as Record<
    'pretrain' | 'encoder_only',
    Record<string, number[]>
  >;
  const model = new HySparK(new Declarations(new Variables()), PRESETS.base);
  const full = exportStateDict(model, { seed: 0, passes: 0 });
  expect([...full].map(([key, { shape }]) => [key, shape])).toEqual(Object.entries(expected.pretrain));
  const encoder = exportEncoder(model, { seed: 0, passes: 0 });
  expect([...encoder].map(([key, { shape }]) => [key, shape])).toEqual(Object.entries(expected.encoder_only));
  expect(modelEntries(model).reduce((sum, { shape }) => sum + sizeOf(shape), 0)).toBeGreaterThan(103.5e6 - 1e5);
});

describe.skipIf(!hasTorch)(`with PyTorch${torchNote}`, () => {
  let dir = '';
  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), 'checkpoint-'));
  });
  afterAll(() => rmSync(dir, { recursive: true, force: true }));
  const run = { seed: 7, passes: 2 };
  const resume = { ...run, step: 2, epochs: 1, performance: '1.0 1.0', learningRate: 1e-4, weightDecay: 0.04 };

  /** Keys, shapes and bits of a state dict, as the script below describes PyTorch's. */
  async function described(sources: ReturnType<typeof exportStateDict>) {
    const rows = [...sources].map(async ([key, source]): Promise<[string, number[], string]> => {
      const bytes = await loadBytes(source, String(key));
      return [String(key), [...source.shape], Buffer.from(bytes).toString('hex')];
    });
    return Promise.all(rows);
  }

  async function trainedModel() {
    const device = await testDevice();
    const model = await smallModel(device, run.seed);
    const { train, destroy } = await trainer(device, model);
    await train(0);
    await train(1);
    destroy();
    return model;
  }

  test('torch.load gives our tensors bit for bit, and its optimiser takes our moments', async () => {
    const model = await trainedModel();
    writeFileSync(join(dir, 'full.pth'), await concatChunks(writeResumePth(model, resume)));
    writeFileSync(join(dir, 'encoder.pth'), await concatChunks(writeEncoderPth(model, run)));
    // PyTorch 1.13 knows no floats under weights_only; the encoder has tensors only
    const script = `
import inspect, json, sys, torch
safe = 'weights_only' in inspect.signature(torch.load).parameters
modern = int(torch.__version__.split('.')[0]) >= 2
load = lambda name, only: torch.load(f'{sys.argv[1]}/{name}.pth', map_location='cpu', **({'weights_only': only} if safe else {}))
describe = lambda state: [[k, list(t.shape), t.contiguous().numpy().tobytes().hex()] for k, t in state.items()]
full, encoder = load('full', modern), load('encoder', True)
config = full['module'].pop('config')
parameters = [torch.nn.Parameter(t.clone()) for k, t in full['module'].items()
              if not k.endswith(('running_mean', 'running_var', 'num_batches_tracked'))]
optimizer = torch.optim.AdamW(parameters, lr=1e-4, weight_decay=1e-5)
optimizer.load_state_dict(full['optimizer'])
for p in parameters:
    if p in optimizer.state: p.grad = torch.zeros_like(p)
optimizer.step()
steps = sorted({s['step'].item() for s in optimizer.state.values()})
shapes = all(s['exp_avg'].shape == p.shape for p, s in optimizer.state.items())
rest = {k: v for k, v in full.items() if k not in ('module', 'optimizer')}
print(json.dumps({'full': describe(full['module']), 'encoder': describe(encoder), 'config': config, 'rest': rest,
                  'steps': steps, 'shapes': shapes, 'parameters': len(parameters), 'moments': len(optimizer.state)}))`;
    const loaded = JSON.parse(runPython(script, dir));
    expect(loaded.full).toEqual(await described(exportStateDict(model, run)));
    expect(loaded.encoder).toEqual(await described(exportEncoder(model, run)));
    expect(loaded.config).toEqual({
      mask_ratio: 0.75,
      densify_norm_str: 'ln',
      sbn: false,
      hierarchy: 5,
      'sparse_encoder.input_size': 32,
      'dense_decoder.width': 16,
    });
    expect(loaded.rest).toMatchObject({ input_size: 32, epoch: 0, performance_desc: '1.0 1.0', is_pretrain: true });
    // the position table, the first fusion (8), the last projection (2) and the last token have no gradient
    expect(loaded).toMatchObject({ steps: [3], shapes: true, moments: loaded.parameters - 12 });
  });

  test('a resume file made by PyTorch loads here, bit for bit', async () => {
    const model = await smallModel(await testDevice(), 1);
    const shapes = modelEntries(model).map(({ key, shape }) => [key, shape] as const);
    const script = `
import collections, json, sys, torch
torch.manual_seed(3)
state = collections.OrderedDict()
for key, shape in json.loads(sys.argv[2]):
    state[key] = torch.tensor(9) if key.endswith('num_batches_tracked') else torch.randn(shape)
parameters = [torch.nn.Parameter(t.clone()) for k, t in state.items()
              if not k.endswith(('running_mean', 'running_var', 'num_batches_tracked'))]
names = [k for k in state if not k.endswith(('running_mean', 'running_var', 'num_batches_tracked'))]
idle = lambda k: 'pos_embed' in k or 'fuse.0.' in k or k.startswith('densify_projs.4') or k == 'mask_tokens.4'
for k, p in zip(names, parameters):
    if not idle(k): p.grad = torch.randn_like(p)
optimizer = torch.optim.AdamW(parameters, lr=1e-3)
for _ in range(4): optimizer.step()
first = {k: optimizer.state[p]['exp_avg'].numpy().tobytes().hex() for k, p in zip(names, parameters) if not idle(k)}
state['config'] = {'mask_ratio': 0.75}
torch.save({'args': '', 'epoch': 5, 'module': state, 'optimizer': optimizer.state_dict(), 'is_pretrain': True}, sys.argv[1] + '/made.pth')
del state['config']
print(json.dumps({'state': [[k, list(t.shape), t.numpy().tobytes().hex()] for k, t in state.items()], 'first': first}))`;
    const made = JSON.parse(runPython(script, dir, JSON.stringify(shapes)));
    const coverage = loadPth(model, new Uint8Array(readFileSync(join(dir, 'made.pth'))));
    expect(coverage).toMatchObject({ missing: [], unexpected: [], mismatched: [], passes: 9, step: 4, epochs: 6 });

    const idle = new Set(
      modelEntries(model)
        .filter(({ spec }) => !spec?.tensor)
        .map(({ key }) => key),
    );
    const ours = await described(exportStateDict(model, { seed: 1, passes: 9 }));
    const used = (rows: [string, number[], string][]) => rows.filter(([key]) => !idle.has(key));
    expect(used(ours)).toEqual(used(made.state));

    const again = await concatChunks(writeResumePth(model, { ...resume, step: 4 }));
    writeFileSync(join(dir, 'again.pth'), again);
    const moments = JSON.parse(
      runPython(
        `
import json, sys, torch
saved = torch.load(sys.argv[1] + '/again.pth')
names = [k for k in saved['module'] if k != 'config' and not k.endswith(('running_mean', 'running_var', 'num_batches_tracked'))]
print(json.dumps({names[i]: s['exp_avg'].numpy().tobytes().hex() for i, s in saved['optimizer']['state'].items()}))`,
        dir,
      ),
    );
    expect(moments).toEqual(made.first);
  });
});

/** Our .pth files in PyTorch, and PyTorch's in ours. Runs where Debian's python3-torch is installed. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hasTorch, runPython, torchNote } from '../testing/python.ts';
import { concatChunks } from './bytes.ts';
import { randomSource } from './fuzz.ts';
import { OrderedDict, type PthInput, PyFloat, readPth, Tuple, writePth } from './pth.ts';
import { bytesOf, type Dtype, type HostTensor, isTensor, itemSize, viewAs } from './tensor.ts';

/** Both sides describe values in the same words; numbers by their 64 bits, since JavaScript does not tell 1 from 1.0. */
const PRELUDE = `
import collections, inspect, json, struct, sys, torch
NAMES = {torch.float64: 'F64', torch.float32: 'F32', torch.float16: 'F16', torch.bfloat16: 'BF16', torch.int64: 'I64',
         torch.int32: 'I32', torch.int16: 'I16', torch.int8: 'I8', torch.uint8: 'U8', torch.bool: 'BOOL'}
INTS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
def describe(v):
    if isinstance(v, torch.Tensor):
        flat = v.detach().contiguous().reshape(-1)
        raw = flat.view(INTS[flat.element_size()]).numpy().tobytes().hex() if flat.numel() else ''
        return {'tensor': NAMES[v.dtype], 'shape': list(v.shape), 'hex': raw}
    if isinstance(v, collections.OrderedDict): return {'ordered': [[describe(k), describe(x)] for k, x in v.items()]}
    if isinstance(v, dict): return {'dict': [[describe(k), describe(x)] for k, x in v.items()]}
    if isinstance(v, tuple): return {'tuple': [describe(x) for x in v]}
    if isinstance(v, (set, frozenset)): return {'set': sorted(json.dumps(describe(x)) for x in v)}
    if isinstance(v, list): return [describe(x) for x in v]
    if isinstance(v, bool) or v is None or isinstance(v, str): return v
    if isinstance(v, int) and abs(v) >= 2 ** 53: return {'int': str(v)}
    return {'number': struct.pack('<d', v).hex(), **({'float': isinstance(v, float)} if TYPES else {})}
def load(path, **options):
    if 'weights_only' not in inspect.signature(torch.load).parameters: options = {}
    return torch.load(path, map_location='cpu', **options)
`;

function python(script: string, types: boolean, ...args: string[]): string {
  return runPython(`TYPES = ${types ? 'True' : 'False'}\n${PRELUDE}\n${script}`, ...args);
}

/** `describe` of the script above. @param types whether to say which numbers are written as floats */
function describeValue(value: unknown, types: boolean): unknown {
  const inner = (item: unknown) => describeValue(item, types);
  if (value instanceof Map)
    return { [value instanceof OrderedDict ? 'ordered' : 'dict']: [...value].map((pair) => pair.map(inner)) };
  if (value instanceof Tuple) return { tuple: value.items.map(inner) };
  if (value instanceof Set)
    return { set: [...value].map((item) => JSON.stringify(inner(item)).replace(/([:,])/g, '$1 ')).sort() };
  if (Array.isArray(value)) return value.map(inner);
  if (isTensor(value))
    return { tensor: value.dtype, shape: value.shape, hex: Buffer.from(bytesOf(value.data)).toString('hex') };
  if (typeof value === 'bigint') return { int: `${value}` };
  if (typeof value !== 'number' && !(value instanceof PyFloat)) return value;
  const number = typeof value === 'number' ? value : value.value;
  const bits = Buffer.from(Float64Array.of(number).buffer).toString('hex');
  return {
    number: bits,
    ...(types ? { float: value instanceof PyFloat || !Number.isSafeInteger(number) || Object.is(number, -0) } : {}),
  };
}

/** Tensors of every element type with random bits, NaNs of every kind among them. */
function everyDtype(): OrderedDict<HostTensor> {
  const random = randomSource(21);
  const dtypes: Dtype[] = ['F64', 'F32', 'F16', 'BF16', 'I64', 'I32', 'I16', 'I8', 'U8', 'BOOL'];
  return new OrderedDict(
    dtypes.map((dtype): [string, HostTensor] => {
      const bytes = Uint8Array.from({ length: 300 * itemSize(dtype) }, () => random(dtype === 'BOOL' ? 2 : 256));
      return [`layer.${dtype}.weight`, { dtype, shape: [5, 1, 3, 20], data: viewAs(dtype, bytes) }];
    }),
  );
}

describe.skipIf(!hasTorch)(`with PyTorch${torchNote}`, () => {
  let dir = '';
  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), 'pth-'));
  });
  afterAll(() => rmSync(dir, { recursive: true, force: true }));
  const save = async (name: string, value: PthInput) => {
    writeFileSync(join(dir, name), await concatChunks(writePth(value)));
  };

  test('torch.load(weights_only=True) gives our state dicts bit for bit', { timeout: 120_000 }, async () => {
    const tensors = everyDtype();
    const shared = Float32Array.of(1, 2, 3, 4);
    tensors.set('scalar', { dtype: 'I64', shape: [], data: BigInt64Array.of(12n) });
    tensors.set('empty', { dtype: 'F32', shape: [0, 4], data: new Float32Array() });
    tensors.set('one', { dtype: 'F32', shape: [4], data: shared });
    tensors.set('two', { dtype: 'F32', shape: [2, 2], data: shared });
    await save('state.pth', tensors);
    const encoder = new Map<string, PthInput>([
      ['module', tensors],
      ['epoch', 70000],
      ['seed', 2 ** 32 - 1],
      ['note', 'größe'],
    ]);
    await save('nested.pth', encoder);
    const script = `
state, nested = (load(f'{sys.argv[1]}/{name}.pth', weights_only=True) for name in ('state', 'nested'))
same = state['one'].data_ptr() == state['two'].data_ptr()
aligned = all(t.data_ptr() % 16 == 0 for t in state.values() if t.numel())
print(json.dumps([describe(state), describe(nested), same, aligned, all(t.is_contiguous() for t in state.values())]))`;
    const back = JSON.parse(python(script, true, dir));
    expect(back).toEqual([describeValue(tensors, true), describeValue(encoder, true), true, true, true]);
  });

  test('a training checkpoint of ours goes into an optimiser', { timeout: 120_000 }, async () => {
    const f32 = (shape: number[], ...values: number[]): HostTensor => ({
      dtype: 'F32',
      shape,
      data: Float32Array.of(...values),
    });
    const moments = (step: number) =>
      new Map<string, PthInput>([
        ['step', f32([], step)],
        ['exp_avg', f32([2, 1], 0.5, -1)],
        ['exp_avg_sq', f32([2, 1], 1, 2)],
      ]);
    const group = new Map<string, PthInput>([
      ['lr', new PyFloat(1)],
      ['betas', new Tuple([0.9, 0.999])],
      ['eps', 1e-8],
      ['weight_decay', new PyFloat(0)],
      ['amsgrad', false],
      ['maximize', false],
      ['foreach', null],
      ['capturable', false],
      ['params', [0]],
    ]);
    const checkpoint = new Map<string, PthInput>([
      [
        'module',
        new OrderedDict([
          ['weight', f32([2, 1], 1, 2)],
          ['bias', f32([2], 0, 0)],
        ]),
      ],
      [
        'optimizer',
        new Map<string, PthInput>([
          ['state', new Map([[0, moments(5)]])],
          ['param_groups', [group]],
        ]),
      ],
      ['losses', [1.5, Number.NaN, -Infinity, -0]],
      ['big', [2n ** 70n, -(2n ** 63n), 2 ** 40, -5]],
      ['nested', [[], new Tuple([]), new Map(), null, true, false, '']],
    ]);
    await save('training.pth', checkpoint);
    // PyTorch 1.13 knows no floats under weights_only
    const script = `
modern = int(torch.__version__.split('.')[0]) >= 2
checkpoint = load(f'{sys.argv[1]}/training.pth', weights_only=modern)
described = describe(checkpoint)
model = torch.nn.Linear(1, 2)
model.load_state_dict(checkpoint['module'], strict=True)
optimizer = torch.optim.AdamW([model.weight], lr=0.1)
optimizer.load_state_dict(checkpoint['optimizer'])
model(torch.ones(1, 1)).sum().backward()
optimizer.step()
print(json.dumps([described, optimizer.state[model.weight]['step'].item()]))`;
    expect(JSON.parse(python(script, true, dir))).toEqual([describeValue(checkpoint, true), 6]);
  });

  test('files that PyTorch made load here, bit for bit, at protocols 2 to 5', { timeout: 120_000 }, () => {
    const script = `
import torch.nn as nn
torch.manual_seed(1)
model = nn.Sequential(nn.Conv3d(1, 4, 3), nn.BatchNorm3d(4), nn.Flatten(), nn.Linear(4, 2, bias=False))
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.04)
schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1)
for _ in range(2):
    optimizer.zero_grad(); model(torch.randn(2, 1, 3, 3, 3)).sum().backward(); optimizer.step(); schedule.step()
state = lambda: {k: v for k, v in schedule.state_dict().items() if k != '_get_lr_called_within_step'}
training = {'args': 'x', 'epoch': 3, 'module': model.state_dict(), 'optimizer': optimizer.state_dict(), 'schedule': state(),
            'rng': torch.get_rng_state(), 'is_pretrain': True}
base = torch.arange(24, dtype=torch.float32).reshape(2, 3, 4)
bits = torch.randint(-2**31, 2**31 - 1, (40,), dtype=torch.int64).to(torch.int32)
mixed = {
    'base': base, 'view': base[1, 1:], 'transposed': base.transpose(0, 2), 'permuted': base.permute(2, 0, 1)[1:], 'step': base[:, ::2, 1],
    'expanded': base[0, 0].expand(3, 4), 'channels_last': torch.randn(1, 2, 3, 4).to(memory_format=torch.channels_last), 'scalar': base[1, 2, 3],
    'parameter': nn.Parameter(base.t() if base.dim() < 3 else base[0].t()), 'frozen': nn.Parameter(base[0].clone(), requires_grad=False),
    'f32': bits.view(torch.float32), 'half': bits.view(torch.float16), 'bfloat16': bits.view(torch.bfloat16), 'double': bits.view(torch.float64),
    'int64': bits.view(torch.int64), 'int32': bits, 'int16': bits.view(torch.int16), 'int8': bits.view(torch.int8), 'uint8': bits.view(torch.uint8),
    'bool': bits > 0, 'bool_t': (bits > 0).reshape(8, 5).t(), 'half_t': bits.view(torch.float16).reshape(2, 40).t(), 'empty': torch.zeros(0, 3),
    'large': torch.randn(100, 300), 'size': base.shape, 'ints': [0, 255, 256, -1, 65536, 2**31, -2**31 - 1, 2**53 - 1, 2**80, -2**63],
    'floats': (0.1, float('inf'), -0.0), 'set': {1, 'a', None}, 'frozenset': frozenset([2.5]), 5: 'int key', None: [], 'ü': ((), {}, [[]]),
    'again': None, 'long': 'x' * 70000, 'many': [str(i) for i in range(2500)],
}
# views of other element types would share the storage, which torch.save does not take
for name in ('f32', 'half', 'bfloat16', 'double', 'int64', 'int16', 'int8', 'uint8', 'half_t'): mixed[name] = mixed[name].clone(memory_format=torch.preserve_format)
mixed['again'] = mixed['base']
files = {'state': model.state_dict(), 'training': training, 'mixed': mixed}
for protocol in range(2, 6):
    for name, value in files.items(): torch.save(value, f'{sys.argv[1]}/{name}.{protocol}.pth', pickle_protocol=protocol)
torch.save(model, f'{sys.argv[1]}/module.pth')
torch.save(model.state_dict(), f'{sys.argv[1]}/legacy.pth', _use_new_zipfile_serialization=False)
torch.save(torch.zeros(2, dtype=torch.complex64), f'{sys.argv[1]}/complex.pth')
torch.save(torch.zeros(2).to_sparse(), f'{sys.argv[1]}/sparse.pth')
torch.save({'dtype': torch.float32}, f'{sys.argv[1]}/dtype.pth')
torch.jit.script(nn.ReLU()).save(f'{sys.argv[1]}/script.pth')
print(json.dumps({name: describe(value) for name, value in files.items()}))`;
    const made = JSON.parse(python(script, false, dir));
    for (const name of ['state', 'training', 'mixed'])
      for (let protocol = 2; protocol <= 5; protocol++) {
        const bytes = new Uint8Array(readFileSync(join(dir, `${name}.${protocol}.pth`)));
        expect(describeValue(readPth(bytes), false), `${name}, protocol ${protocol}`).toEqual(made[name]);
      }
    const mixed = readPth(new Uint8Array(readFileSync(join(dir, 'mixed.2.pth')))) as Map<string, HostTensor>;
    expect(mixed.get('view')!.data.buffer).toBe(mixed.get('base')!.data.buffer);

    for (const [name, code, message] of [
      ['module', 'unsupported', '"torch.nn.modules.container.Sequential"'],
      ['legacy', 'unsupported', 'before 1.6'],
      ['complex', 'unsupported', '"torch.ComplexFloatStorage"'],
      ['sparse', 'unsupported', '"torch._utils._rebuild_sparse_tensor"'],
      ['dtype', 'unsupported', '"torch.float32"'],
      ['script', 'unsupported', 'TorchScript'],
    ]) {
      const bytes = new Uint8Array(readFileSync(join(dir, `${name}.pth`)));
      expect(() => readPth(bytes), name).toThrow(
        expect.objectContaining({ code, message: expect.stringContaining(message!) }),
      );
    }
  });
});

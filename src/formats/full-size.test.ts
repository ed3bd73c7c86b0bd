/** Files of the full-size network, with its optimiser: 1.24 GB that must pass through without being held. */
import { closeSync, existsSync, mkdtempSync, openAsBlob, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hasTorch, runPython, torchNote } from '../testing/python.ts';
import type { Bytes } from './bytes.ts';
import { asStateDict, OrderedDict, readPth, writePth } from './pth.ts';
import { openSafetensors, writeSafetensors } from './safetensors.ts';
import { type HostTensor, type TensorSource, toFloat32 } from './tensor.ts';

const KEYS = '../shared/golden/state_dict_keys.json';
const present = existsSync(KEYS);
const MiB = 2 ** 20;

describe.skipIf(!present)(`the full-size network${present ? '' : ` (SKIPPED: ${KEYS} is absent)`}`, () => {
  const shapes: Record<string, number[]> = present ? JSON.parse(readFileSync(KEYS, 'utf8')).pretrain : {};
  const names = Object.keys(shapes);
  const count = (shape: number[]) => shape.reduce((a, b) => a * b, 1);
  let dir = '';
  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), 'full-size-'));
  });
  afterAll(() => rmSync(dir, { recursive: true, force: true }));

  /** Zeros but for the first and last element, which are the tensor's number; all of them in one array, one at a time. */
  const scratch = new Float32Array(Math.max(...Object.values(shapes).map(count), 1));
  const source = (shape: number[], number: number): TensorSource => ({
    dtype: 'F32',
    shape,
    data: () => {
      const data = scratch.subarray(0, count(shape)).fill(0);
      data[0] = number;
      data[data.length - 1] = number;
      return data;
    },
  });
  const counter: TensorSource = { dtype: 'I64', shape: [], data: BigInt64Array.of(7n) };
  const tensor = (name: string, number: number) =>
    name.endsWith('num_batches_tracked') ? counter : source(shapes[name]!, number);

  /** Writes a file; returns its size, the bytes of chunks that are no view of the source, and the growth of memory. */
  async function write(path: string, chunks: AsyncIterable<Bytes>) {
    const file = openSync(path, 'w');
    const before = process.memoryUsage().rss;
    let [size, own, growth] = [0, 0, 0];
    for await (const chunk of chunks) {
      size += chunk.length;
      if (chunk.buffer !== scratch.buffer) own += chunk.length;
      writeSync(file, chunk);
      growth = Math.max(growth, process.memoryUsage().rss - before);
    }
    closeSync(file);
    return { size, own, growth };
  }

  const check = ({ dtype, shape, data }: HostTensor, name: string, number: number) => {
    if (name.endsWith('num_batches_tracked')) return data.length === 1 && data[0] === 7n;
    const whole =
      dtype === 'F32' && `${shape}` === `${shapes[name.replace(/#.*/, '')]}` && data.length === count([...shape]);
    return whole && data[0] === number && data.at(-1) === number;
  };

  test('a checkpoint with both moments, as safetensors: written and read one tensor at a time', {
    timeout: 300_000,
  }, async () => {
    const all = names.flatMap((name) =>
      name.endsWith('num_batches_tracked') ? [name] : ['', '#m', '#v'].map((s) => name + s),
    );
    const path = join(dir, 'full.safetensors');
    const sources = new Map(all.map((name, i) => [name, tensor(name.replace(/#.*/, ''), i)]));
    const { size, own, growth } = await write(path, writeSafetensors(sources, { step: '1' }));
    expect(size).toBeGreaterThan(1.2e9);
    expect(own).toBeLessThan(MiB);
    expect(growth).toBeLessThan(256 * MiB);

    const index = await openSafetensors(await openAsBlob(path));
    expect([...index.specs.keys()].sort()).toEqual([...all].sort());
    const wrong: string[] = [];
    for (const [i, name] of all.entries()) if (!check(await index.tensor(name), name, i)) wrong.push(name);
    expect(wrong).toEqual([]);
  });

  describe('as .pth', () => {
    const path = () => join(dir, 'full.pth');
    beforeAll(async () => {
      const module = new OrderedDict(names.map((name, i) => [name, tensor(name, i)]));
      const { size, own, growth } = await write(path(), writePth(new Map([['module', module]])));
      expect(size).toBeGreaterThan(4.1e8);
      expect(own).toBeLessThan(MiB);
      expect(growth).toBeLessThan(256 * MiB);
    }, 300_000);

    test('read as views into the file', { timeout: 300_000 }, () => {
      const bytes = new Uint8Array(readFileSync(path()).buffer);
      const state = asStateDict((readPth(bytes) as Map<string, never>).get('module'));
      expect([...state.keys()]).toEqual(names);
      expect(names.filter((name, i) => !check(state.get(name)!, name, i))).toEqual([]);
      for (const { data } of state.values()) expect(data.buffer).toBe(bytes.buffer);
      expect(toFloat32(state.get(names[0]!)!).buffer).toBe(bytes.buffer);
    });

    test.skipIf(!hasTorch)(`PyTorch reads every key and shape${torchNote}`, { timeout: 300_000 }, () => {
      const script = `
import json, sys, torch
state = torch.load(sys.argv[1], weights_only=True)['module']
ends = lambda t: [t.reshape(-1)[0].item(), t.reshape(-1)[-1].item()]
print(json.dumps([[k, list(t.shape), ends(t)] for k, t in state.items()]))`;
      const number = (name: string, i: number) => (name.endsWith('num_batches_tracked') ? 7 : i);
      expect(JSON.parse(runPython(script, path()))).toEqual(
        names.map((name, i) => [name, shapes[name], [number(name, i), number(name, i)]]),
      );
    });
  });
});

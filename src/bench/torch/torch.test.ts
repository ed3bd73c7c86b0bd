/** PyTorch's model, which the engine's step is timed beside, against golden data; the report of its steps. Runs where python3-torch is installed. */

import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { hasTorch, PYTHON, runPython, torchNote } from '../../testing/python.ts';
import type { BenchReport } from '../benchmark.ts';
import { compareReports } from '../compare.ts';
import { type GoldenErrors, judge } from './judge.ts';
import { runScript } from './pytorch.ts';
import { measurePyTorch } from './report.ts';

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));

describe('judgement', () => {
  const errors = (change: GoldenErrors = {}): GoldenErrors => {
    const groups = ['loss', 'activations', 'gradients', 'smooth gradients'];
    return { ...Object.fromEntries(groups.map((group) => [group, { error: 1e-6, at: 'x', count: 2 }])), ...change };
  };

  test('close enough', () => expect(judge('set', 'tiny', errors())).toBe(8));

  test.each([
    ['loss', 2e-5],
    ['smooth gradients', 4e-4],
    ['gradients', Number.NaN],
    ['smooth steps: losses', 3e-5],
    ['gradients: presence', 1],
    ['unheard of', 0],
  ])('%s: %s is refused by name', (group, error) => {
    const wrong = errors({ [group]: { error, at: 'layer', count: 1 } });
    expect(() => judge('set', 'tiny', wrong)).toThrow(`PyTorch's ${group} with the golden set set (worst at layer)`);
  });

  test('nothing compared is refused', () => {
    const { gradients: _, ...others } = errors();
    expect(() => judge('set', 'tiny', others)).toThrow('compared no gradients');
  });
});

test('a script that fails, a Python that is not there', async () => {
  await expect(runScript('/nowhere/python', 'golden.py', [])).rejects.toThrow('--python PATH');
  await expect(runScript('false', 'golden.py', [])).rejects.toThrow('PyTorch (golden.py): got exit status 1');
});

describe.skipIf(!hasTorch)(`with PyTorch${torchNote}`, () => {
  test('the weight formula gives the values of its table', () => {
    const script = `
import sys, torch
sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv[1])
from weights import weight
print(weight('sparse_encoder.embeddings.stem.weight', torch.empty(32, 1, 3, 3, 3), 1).flatten()[863].item())
print(weight('sparse_encoder.mae.blocks.0.norm1.weight', torch.empty(384), 77)[5].item())
print(weight('dense_decoder.dec.0.conv.1.running_var', torch.empty(384), 202)[3].item())`;
    const values = runPython(script, path('.')).trim().split('\n').map(Number);
    expect(values).toEqual([0.03650819510221481, 0.987380862236023, 1.01124906539917]);
  });

  test('the reference’s network, layers that nothing reads too, has the golden set’s numbers', {
    timeout: 600_000,
  }, async () => {
    const errors = await runScript<GoldenErrors>(PYTHON, 'golden.py', [
      path('../../testing/golden/data'),
      'tiny_synth',
    ]);
    expect(judge('tiny_synth', 'tiny', errors)).toBeGreaterThan(2000);
    // two passes of all activations; gradients of all parameters but those without, zero or cancelling ones
    expect(errors.activations!.count).toBe(27);
    expect(errors['smooth gradients']!.count).toBe(156);
    expect(errors['smooth steps: losses']!.count).toBe(5);
    expect(errors['smooth gradients']!.error).toBeGreaterThan(0); // another program's rounding
  });

  test('a step of `tiny`: a report that the engine’s is compared with', { timeout: 900_000 }, async () => {
    const [report] = await measurePyTorch({ preset: 'tiny', repeats: '1', layouts: 'channels_last' }, PYTHON);
    expect(report!.host).toMatch(/^PyTorch .*, float32, channels last$/);
    const row = { name: 'whole step', time: { median: 1, low: 1, high: 1, count: 1 } };
    const own: BenchReport = { ...report!, host: 'Node', tables: [{ ...report!.tables[0]!, rows: [row] }] };
    const { table } = compareReports([report!], [own]);
    expect(table.rows).toMatchObject([{ name: 'step: whole step, time', ratio: expect.any(Number) }]);
    expect(table.rows[0]!.ratio).toBeGreaterThan(0);
  });
});

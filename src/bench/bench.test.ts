/** Parameters, comparisons and tables of benchmarks; that every benchmark has its page. */

import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { type BenchReport, parameterTexts, parseParameters, type Table } from './benchmark.ts';
import { BENCHMARKS } from './benchmarks.ts';
import { compareReports } from './compare.ts';
import { relativeTable, tableMarkdown, tableText } from './format.ts';
import { KERNELS, parseCases } from './kernels.ts';
import { benchmarksMarkdown } from './node/markdown.ts';
import { NODE_BENCHMARKS } from './node/node-benchmarks.ts';
import { browserName } from './page/browser.ts';
import { numbers, oneOf, someOf, whole } from './parameters.ts';
import { ratios, spread } from './statistics.ts';

const table = (rows: Table['rows']): Table => ({
  name: 'products',
  columns: [
    { key: 'name', label: 'product' },
    { key: 'time', label: 'chosen', unit: 'ms' },
    { key: 'gflops', label: 'speed', unit: 'GFLOP/s' },
    { key: 'speedup', label: 'plain ÷ chosen', unit: '×' },
  ],
  rows,
});

const report = (rows: Table['rows'], adapter = 'A', parameters = { cases: 'all', repeats: '9' }): BenchReport => ({
  benchmark: 'kernels',
  parameters,
  adapter: { name: adapter } as BenchReport['adapter'],
  host: 'Node',
  processors: 2,
  commit: 'c',
  date: '2026-01-01T00:00:00Z',
  seconds: 1,
  tables: [table(rows)],
  charts: [],
  notes: [],
});

describe('parameters', () => {
  test('defaults of every benchmark are right', () => {
    for (const benchmark of NODE_BENCHMARKS) parseParameters(benchmark, parameterTexts(benchmark, {}));
  });

  test('texts become values', () => {
    expect(whole(1, [1, 9], '').parse('3')).toBe(3);
    expect(numbers([0], [0, 1], false, '').parse('0, .25,1')).toEqual([0, 0.25, 1]);
    expect(oneOf(['a', 'b'], '').parse('b')).toBe('b');
    expect(someOf(['a', 'b'], ['a'], '').parse('b,a')).toEqual(['b', 'a']);
    expect(parseCases('telling,matmul:1:2:3,conv3:8:4:5:6').slice(2)).toEqual([
      { kind: 'matmul', rows: 1, inner: 2, columns: 3 },
      { kind: 'conv3', size: 8, edge: 4, inner: 5, columns: 6 },
    ]);
  });

  test.each([
    ['repeats', ''],
    ['repeats', '1.5'],
    ['repeats', '0'],
    ['repeats', 'many'],
    ['cases', 'matmul:1:2'],
    ['cases', 'conv3:9:4:1:1'],
    ['cases', 'all:1'],
    ['cases', ''],
  ])('%s=%s is refused by name', (name, text) => {
    const parse = () => parseParameters(KERNELS, { ...parameterTexts(KERNELS, {}), [name]: text });
    expect(parse).toThrow(`Parameter "${name}": got "`);
  });

  test('an unknown one is refused', () => {
    expect(() => parameterTexts(KERNELS, { size: '3' })).toThrow(
      'got the parameter "size", need cases, matrices, repeats.',
    );
  });
});

describe('comparison', () => {
  const time = (low: number, median: number, high: number) => ({ low, median, high, count: 3 });

  test('times of rows that both have, now ÷ before', () => {
    const before = report([{ name: 'a', time: time(9, 10, 11), gflops: 1 }]);
    const now = report([
      { name: 'a', time: time(4, 5, 6), gflops: 2 },
      { name: 'b', time: 7 },
    ]);
    const { table: result, warnings } = compareReports([before], [now]);
    expect(result.rows).toEqual([
      {
        name: 'kernels: a, chosen',
        unit: 'ms',
        before: time(9, 10, 11),
        now: time(4, 5, 6),
        ratio: 0.5,
        verdict: '',
      },
    ]);
    expect(warnings).toEqual(['kernels: "b" is not in the earlier file']);
  });

  test('overlapping ranges and other conditions are said', () => {
    const before = report([{ name: 'a', time: time(4, 5, 9) }]);
    const now = report([{ name: 'a', time: time(8, 9, 10) }], 'B', { cases: 'step', repeats: '3' });
    const { table: result, warnings } = compareReports([before], [now]);
    expect(result.rows[0]).toMatchObject({ ratio: 1.8, verdict: 'ranges overlap' });
    expect(warnings).toEqual(['kernels: adapter was A, is B', 'kernels: cases was all, is step']);
    expect(compareReports([], [now]).warnings).toEqual(['kernels: not in the earlier file']);
  });

  test('several earlier reports of one benchmark are told apart by their host', () => {
    const others = [4, 2].map((median, i) => ({ ...report([{ name: 'a', time: median }]), host: `PyTorch ${i}` }));
    const now = report([
      { name: 'a', time: 8 },
      { name: 'b', time: 1 },
      { name: 'peak', gflops: 1 },
    ]);
    const { table: result, warnings } = compareReports(others, [now]);
    expect(result.rows.map(({ name, ratio }) => [name, ratio])).toEqual([
      ['kernels: a, chosen · PyTorch 0', 2],
      ['kernels: a, chosen · PyTorch 1', 4],
    ]);
    expect(warnings).toEqual([
      'kernels: host was PyTorch 0, is Node',
      'kernels: "b" is not in the earlier file', // said once; of "peak" nothing would be compared
      'kernels: host was PyTorch 1, is Node',
    ]);
  });
});

describe('tables', () => {
  const rows = [
    { name: 'a', time: spread([3, 2, 4]), gflops: 12, speedup: ratios([6, 6, 6], [3, 2, 4]) },
    { name: 'reference', gflops: 5 },
  ];

  test('as text, numbers to the right', () => {
    expect(tableText(table(rows))).toBe(
      [
        'product     chosen, ms   speed, GFLOP/s   plain ÷ chosen',
        'a              3 (2–4)               12        2 (1.5–3)',
        'reference                             5',
      ].join('\n'),
    );
  });

  test('of a software adapter: nothing absolute', () => {
    expect(tableMarkdown(relativeTable(table(rows)))).toBe(
      ['| product | chosen: slowest ÷ fastest | plain ÷ chosen |', '| --- | --: | --: |', '| a | 2 | 2 (1.5–3) |'].join(
        '\n',
      ),
    );
  });
});

test('every benchmark has a page', () => {
  const pages = readdirSync('bench').sort();
  expect(pages).toEqual(['index.html', ...BENCHMARKS.map(({ name }) => `${name}.html`)].sort());
  for (const { name, title } of BENCHMARKS) {
    const page = readFileSync(`bench/${name}.html`, 'utf8');
    expect(page).toContain(`data-benchmark="${name}"`);
    expect(page).toContain(`<title>${title}: HySparK benchmarks</title>`);
  }
});

test('browsers are named', () => {
  const chrome =
    'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/141.0.0.0 Safari/537.36';
  expect(browserName(chrome)).toBe('Headless Chrome 141, Linux');
});

describe('BENCHMARKS.md', () => {
  const rows = (median: number) => [{ name: 'a', time: { median, low: median, high: median, count: 3 } }];
  const ofTorch = (median: number, precision: string) => ({ ...report(rows(median)), host: `PyTorch 2, ${precision}` });

  test('PyTorch’s file is compared with the one before it', () => {
    const text = benchmarksMarkdown([
      [report(rows(2))],
      [ofTorch(4, 'float32'), ofTorch(1, 'tf32')],
      [report(rows(2))],
    ]);
    expect(text.match(/^## .*/gm)).toEqual(['## A, Node', '## A, PyTorch 2, float32', '## A, Node']);
    expect(text.match(/### The engine beside PyTorch/g)).toHaveLength(1);
    expect(text).toContain('| kernels: a, chosen · PyTorch 2, float32 | ms | 4 | 2 | 0.5 |');
    expect(text).toContain('| kernels: a, chosen · PyTorch 2, tf32 | ms | 1 | 2 | 2 |');
  });

  test('files of one host share a section, and PyTorch is compared with each of them', () => {
    const at = (median: number, precision: string) => ({
      ...report(rows(median)),
      parameters: { precision, repeats: '3' },
    });
    const text = benchmarksMarkdown([[at(2, 'float32')], [at(1, 'mixed')], [ofTorch(4, 'tf32')]]);
    expect(text.match(/^## .*/gm)).toEqual(['## A, Node', '## A, PyTorch 2, tf32']);
    expect(text).toContain('| kernels: a, chosen · `precision=float32` | ms | 4 | 2 | 0.5 |');
    expect(text).toContain('| kernels: a, chosen · `precision=mixed` | ms | 4 | 1 | 0.25 |');
  });

  test('alone it is compared with nothing', () => {
    expect(benchmarksMarkdown([[ofTorch(4, 'float32')]])).not.toContain('beside PyTorch');
  });
});

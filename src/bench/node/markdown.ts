/** `BENCHMARKS.md` from files of results. */

import type { BenchReport } from '../benchmark.ts';
import { compareReports } from '../compare.ts';
import { conditions, relativeTable, tableMarkdown } from '../format.ts';
import { NODE_BENCHMARKS } from './node-benchmarks.ts';

const INTRODUCTION = `# Benchmarks

Figures with their conditions. [How to read and repeat them](src/bench/README.md); this file is written by

\`\`\`sh
npm run bench -- kernels step --set preset=base cases=conv3:48:8:96:96,conv3:24:4:192:192 --json gpu.json
npm run bench:torch -- --set preset=base precisions=float32,tf32,mixed --json torch.json
npm run bench -- kernels step encoder savings data memory --adapter lavapipe --set cases=telling repeats=5 --json lavapipe.json
npm run bench -- kernels encoder savings --adapter swiftshader --set cases=telling maps=densify,winograd repeats=3 --json swiftshader.json
npm run bench -- kernels step encoder data memory --browser chromium --set cases=telling repeats=3 --json chromium.json
npm run bench -- --write gpu.json torch.json lavapipe.json swiftshader.json chromium.json
\`\`\`

On software adapters (lavapipe, SwiftShader) a processor stands in for the GPU. Of those there are ratios only, measured in turns in one run: an
absolute time would tell of the processor and of who else used it. Those runs were made on a machine shared with other work, as the distance between the
slowest and the fastest of equal measurements shows. Each figure is a median, with the least and the most in brackets; every result was compared with a reference
before it was timed.
`;

/** One section for each file. PyTorch's steps are compared with those of the file before. */
export function benchmarksMarkdown(files: readonly (readonly BenchReport[])[]): string {
  const some = files.filter((reports) => reports.length > 0);
  const sections = some.flatMap((reports, i) => [section(reports), ...besidePyTorch(reports, some[i - 1] ?? [])]);
  return [INTRODUCTION, ...sections].join('\n');
}

function besidePyTorch(reports: readonly BenchReport[], before: readonly BenchReport[]): string[] {
  const ours = before.filter(({ benchmark }) => benchmark === reports[0]!.benchmark);
  if (!reports.every(({ host }) => host.startsWith('PyTorch')) || ours.length === 0) return [];
  const { table } = compareReports(reports, ours);
  const columns = [
    { key: 'name', label: 'measured' },
    { key: 'unit', label: 'unit' },
    { key: 'before', label: 'PyTorch' },
    { key: 'now', label: 'engine' },
    { key: 'ratio', label: 'engine ÷ PyTorch' },
  ];
  return [`### The engine beside PyTorch\n\n${tableMarkdown({ ...table, columns })}\n`];
}

function section(reports: readonly BenchReport[]): string {
  const first = reports.find(({ adapter }) => adapter) ?? reports[0]!;
  const parts = [`## ${first.adapter?.name ?? 'Without a GPU'}, ${first.host}`];
  for (const report of reports) {
    const title = NODE_BENCHMARKS.find(({ name }) => name === report.benchmark)?.title ?? report.benchmark;
    const parameters = Object.entries(report.parameters).map(([key, value]) => `${key}=${value}`);
    parts.push(`### ${title}`, `${conditions(report)}; ${parameters.map((each) => `\`${each}\``).join(' ')}`);
    for (const table of report.tables) {
      parts.push(tableMarkdown(report.adapter?.class === 'gpu' ? table : relativeTable(table)));
    }
    parts.push(report.notes.join(' '));
  }
  return `${parts.join('\n\n')}\n`;
}

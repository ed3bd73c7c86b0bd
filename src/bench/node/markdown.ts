/** `BENCHMARKS.md` from files of results. */

import type { BenchReport } from '../benchmark.ts';
import { compareReports } from '../compare.ts';
import { conditions, relativeTable, tableMarkdown } from '../format.ts';
import { NODE_BENCHMARKS } from './node-benchmarks.ts';

const INTRODUCTION = `# Benchmarks

Figures with their conditions. [How to read and repeat them](src/bench/README.md); this file is written by

\`\`\`sh
npm run bench -- kernels step savings --set preset=base cases=conv3:48:8:96:96,conv3:24:4:192:192 maps=winograd-wide repeats=5 --json gpu.json
npm run bench -- step --set preset=base convolution=direct repeats=5 --json gpu-direct.json
npm run bench -- step --set preset=base precision=mixed repeats=5 --json gpu-mixed.json
npm run bench -- step --set preset=base precision=mixed matrices=on tuning=10000 repeats=5 --json gpu-matrices.json
npm run bench:torch -- --set preset=base precisions=float32,tf32,mixed --json torch.json
npm run bench -- kernels step encoder savings data memory --adapter lavapipe --set cases=telling repeats=5 --json lavapipe.json
npm run bench -- kernels encoder savings --adapter swiftshader --set cases=telling maps=densify,winograd repeats=3 --json swiftshader.json
npm run bench -- kernels step encoder data memory --browser chromium --set cases=telling repeats=3 --json chromium.json
npm run bench -- --write gpu.json gpu-*.json torch.json lavapipe.json swiftshader.json chromium.json
\`\`\`

On software adapters (lavapipe, SwiftShader) a processor stands in for the GPU. Of those there are ratios only, measured in turns in one run: an
absolute time would tell of the processor and of who else used it. Those runs were made on a machine shared with other work, as the distance between the
slowest and the fastest of equal measurements shows. Each figure is a median, with the least and the most in brackets; every result was compared with a reference
before it was timed.
`;

/** A section for each adapter and host; files of one that follow each other share it. PyTorch's steps are compared with those of the section before. */
export function benchmarksMarkdown(files: readonly (readonly BenchReport[])[]): string {
  const sections: BenchReport[][] = [];
  for (const reports of files.filter(({ length }) => length > 0)) {
    const last = sections.at(-1);
    if (last && headingOf(last) === headingOf(reports)) last.push(...reports);
    else sections.push([...reports]);
  }
  const texts = sections.flatMap((reports, i) => [section(reports), ...besidePyTorch(reports, sections[i - 1] ?? [])]);
  return [INTRODUCTION, ...texts].join('\n');
}

function headingOf(reports: readonly BenchReport[]): string {
  const { adapter, host } = reports.find((report) => report.adapter) ?? reports[0]!;
  return `## ${adapter?.name ?? 'Without a GPU'}, ${host}`;
}

function besidePyTorch(reports: readonly BenchReport[], before: readonly BenchReport[]): string[] {
  const ours = before.filter(({ benchmark }) => benchmark === reports[0]!.benchmark);
  if (!reports.every(({ host }) => host.startsWith('PyTorch')) || ours.length === 0) return [];
  const different = Object.keys(ours[0]!.parameters).filter(
    (key) => new Set(ours.map((o) => o.parameters[key])).size > 1,
  );
  const compared = ours.map((one) => {
    const { table } = compareReports(reports, [one]);
    const setting = different.map((key) => ` · \`${key}=${one.parameters[key]}\``).join('');
    return { ...table, rows: table.rows.map((row) => ({ ...row, name: `${row.name}${setting}` })) };
  });
  const table = { ...compared[0]!, rows: compared.flatMap(({ rows }) => rows) };
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
  const parts = [headingOf(reports)];
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

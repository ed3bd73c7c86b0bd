/** `BENCHMARKS.md` from files of results. */

import type { BenchReport } from '../benchmark.ts';
import { conditions, relativeTable, tableMarkdown } from '../format.ts';
import { NODE_BENCHMARKS } from './node-benchmarks.ts';

const INTRODUCTION = `# Benchmarks

Figures with their conditions. [How to read and repeat them](src/bench/README.md); this file is written by

\`\`\`sh
npm run bench -- kernels step encoder savings data memory --adapter lavapipe --set cases=telling repeats=5 --json lavapipe.json
npm run bench -- kernels encoder savings --adapter swiftshader --set cases=telling maps=densify repeats=3 --json swiftshader.json
npm run bench -- kernels step encoder data memory --browser chromium --set cases=telling repeats=3 --json chromium.json
npm run bench -- --write lavapipe.json swiftshader.json chromium.json
\`\`\`

On software adapters (lavapipe, SwiftShader) a processor stands in for the GPU. Of those there are ratios only, measured in turns in one run: an
absolute time would tell of the processor and of who else used it. Those runs were made on a machine shared with other work, as the distance between the
slowest and the fastest of equal measurements shows. Each figure is a median, with the least and the most in brackets; every result was compared with a reference
before it was timed.
`;

/** One section for each file. */
export function benchmarksMarkdown(files: readonly (readonly BenchReport[])[]): string {
  return [INTRODUCTION, ...files.filter((reports) => reports.length > 0).map(section)].join('\n');
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

/** `npm run bench:torch`: a training step of PyTorch, for `npm run bench -- step --compare`; or `--check`, its model against golden data. */

import { writeFileSync } from 'node:fs';
import { Command } from 'commander';
import { HysparkError } from '../../errors.ts';
import { goldenFolder } from '../../testing/golden/folder.ts';
import { readPretrainSet } from '../../testing/golden/manifest.ts';
import { reportText } from '../format.ts';
import { parametersText, settingsOf } from '../node/settings.ts';
import { type GoldenErrors, judge } from './judge.ts';
import { runScript } from './pytorch.ts';
import { measurePyTorch, PYTORCH_STEP } from './report.ts';

interface Options {
  readonly python: string;
  readonly set: readonly string[];
  readonly json?: string;
  readonly check?: readonly string[];
}

const command = new Command('npm run bench:torch --')
  .option('--python <path>', 'an interpreter that has PyTorch', 'python3')
  .option('--set <key=value...>', 'parameters', [])
  .option('--json <file>', 'write the results there, a report for each way to take the step')
  .option('--check <dir set...>', 'time nothing: compare the model with sets of golden data in that folder')
  .addHelpText('after', () => `\nParameters:\n${parametersText(PYTORCH_STEP)}`);

try {
  const { python, set, json, check } = command.parse().opts<Options>();
  if (check) {
    const [folder, ...sets] = check;
    if (sets.length === 0) {
      throw new HysparkError('bad-argument', {
        doing: '--check',
        got: `"${folder}"`,
        need: 'a folder and names of sets',
      });
    }
    for (const name of sets) await checkGolden(python, folder!, name);
  } else {
    const reports = await measurePyTorch(settingsOf([PYTORCH_STEP], set).get(PYTORCH_STEP)!, python);
    if (json) writeFileSync(json, `${JSON.stringify(reports, null, 1)}\n`);
    for (const report of reports) console.log(`\n${reportText('Training step of PyTorch', report)}`);
  }
} catch (error) {
  console.error(error instanceof HysparkError ? error.message : error);
  process.exitCode = 1;
}

async function checkGolden(python: string, folder: string, set: string): Promise<void> {
  const { scale } = await readPretrainSet(goldenFolder(folder), set);
  const errors = await runScript<GoldenErrors>(python, 'golden.py', [folder, set]);
  for (const [group, { error, at, count }] of Object.entries(errors)) {
    console.log(
      `${set}  ${group.padEnd(30)} ${String(count).padStart(5)}  ${error.toExponential(1).padStart(8)}  ${at}`,
    );
  }
  console.log(`${set}: ${judge(set, scale, errors)} comparisons passed`);
}

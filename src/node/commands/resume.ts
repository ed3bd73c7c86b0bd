/** `hyspark resume`: goes on with a run from its last checkpoint. */

import { Command } from 'commander';
import { findFiles } from '../files.ts';
import { addEngineOptions, type EngineFlags, recallSources, rememberSources, runAt, withEngine } from './options.ts';
import { trainInTerminal } from './training.ts';

export function resumeCommand(): Command {
  const command = new Command('resume')
    .description('go on with a run that was stopped or cut short; it ends with the same bits as one that was not')
    .argument('<dir>', "the run's folder")
    .argument('[path...]', 'its scans, when they have moved or the run comes from another machine')
    .option('--json', 'print every event as a line of JSON');
  return addEngineOptions(command).action(
    async (folder: string, named: string[], flags: EngineFlags & { json?: boolean }) => {
      const { runs, id } = runAt(folder);
      const paths = named.length > 0 ? named : await recallSources(folder, flags.cache!);
      const files = await findFiles(paths);
      await withEngine(runs, flags, async (engine) => {
        const begun = async () => (named.length > 0 ? rememberSources(folder, paths, flags.cache!) : undefined);
        await trainInTerminal(engine, { files, resume: id }, { folder, asJson: flags.json ?? false, begun });
      });
    },
  );
}

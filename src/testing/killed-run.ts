/** A program for tests that kill it: begins or goes on with a small run in the folder given, and says when it has begun to train. */

import { FolderStore } from '../store/folder.ts';
import { anotherDevice, smallRun } from './runs.ts';

export const KILLED_RUN = { steps: 30, evaluateEvery: 10, previewEvery: 10, checkpointEvery: 1, keep: 2 };

if (process.argv[2]) {
  const { SMALL_RUN } = await import('./runs.ts');
  const store = new FolderStore(process.argv[2]);
  const device = await anotherDevice();
  const result = await smallRun({
    store,
    options: { ...SMALL_RUN, ...KILLED_RUN },
    resume: (await store.size('config.json')) !== undefined,
    device: async () => device,
    onEvent: (event) => {
      if (event.type === 'state' && event.phase === 'training') console.log('training');
      if (event.type === 'progress') console.log(`step ${event.progress.step}`);
      if (event.type === 'log') console.log(event.line.text);
    },
  });
  console.log(`${result.phase} ${result.step} ${result.error?.got ?? ''}`);
  device.dispose();
}

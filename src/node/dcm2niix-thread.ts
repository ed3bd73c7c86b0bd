/** A thread that runs dcm2niix once on files in memory and posts what it made. Its output is not kept: it names patients. */

import { parentPort, workerData } from 'node:worker_threads';
import type { NamedBytes } from '../data/dicom.ts';

/** The parts of the WebAssembly module that are used. */
interface Dcm2niixModule {
  FS: {
    mkdir(path: string): void;
    createDataFile(folder: string, name: string, data: Uint8Array, canRead: boolean, canWrite: boolean): void;
    readdir(path: string): string[];
    readFile(path: string): Uint8Array<ArrayBuffer>;
  };
  callMain(args: string[]): number;
}

const { files, args } = workerData as { files: readonly NamedBytes[]; args: readonly string[] };
// The package exports only its browser class, which lies beside the module that is needed here.
const moduleUrl = new URL('./dcm2niix.jpeg.js', import.meta.resolve('@niivue/dcm2niix'));
const { default: load } = (await import(moduleUrl.href)) as { default: (options: object) => Promise<Dcm2niixModule> };
const quiet = () => undefined;
const module = await load({ print: quiet, printErr: quiet });
module.FS.mkdir('/in');
module.FS.mkdir('/out');
for (const { name, bytes } of files) module.FS.createDataFile('/in', name, bytes, true, true);
try {
  module.callMain([...args, '-o', '/out', '/in']);
} catch {
  // It stops by throwing when a file is damaged; what it made until then is not to be trusted.
  parentPort!.postMessage([]);
  process.exit(0);
}
const made = module.FS.readdir('/out')
  .filter((name) => !name.startsWith('.'))
  .map((name): NamedBytes => ({ name, bytes: module.FS.readFile(`/out/${name}`) }));
parentPort!.postMessage(
  made,
  made.map(({ bytes }) => bytes.buffer),
);

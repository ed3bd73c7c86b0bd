/** dcm2niix in Node: one thread a conversion, given up after a time. */

import { DCM2NIIX_ARGUMENTS, DICOM_DEADLINE_MS, type NamedBytes } from '../data/dicom.ts';
import { startThread } from './threads.ts';

/** A `DicomConverter`. The buffers of `files` go to the thread and are gone afterwards. */
export async function convertDicomInThread(files: readonly NamedBytes[]): Promise<readonly NamedBytes[]> {
  const thread = startThread(new URL('./dcm2niix-thread.ts', import.meta.url), {
    workerData: { files, args: [...DCM2NIIX_ARGUMENTS] },
    transferList: files.map(({ bytes }) => bytes.buffer),
    stdout: true,
    stderr: true,
  });
  let deadline: NodeJS.Timeout | undefined;
  try {
    return await new Promise<readonly NamedBytes[]>((resolve) => {
      deadline = setTimeout(() => resolve([]), DICOM_DEADLINE_MS);
      thread.once('message', resolve);
      // A crash of the WebAssembly module is a series that cannot be converted.
      thread.once('error', () => resolve([]));
      thread.once('exit', () => resolve([]));
    });
  } finally {
    clearTimeout(deadline);
    await thread.terminate();
  }
}

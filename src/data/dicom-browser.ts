/** dcm2niix in browsers: the package's own worker, one for each conversion, given up after a time. */

import { DCM2NIIX_ARGUMENTS, DICOM_DEADLINE_MS, type NamedBytes } from './dicom.ts';

/** A `DicomConverter`. The package (0.9 MB) is loaded when this is first called. */
export async function convertDicomInWorker(files: readonly NamedBytes[]): Promise<readonly NamedBytes[]> {
  const { Dcm2niix } = await import('@niivue/dcm2niix');
  // A used worker refuses a second conversion: its folders exist already.
  const dcm2niix = new Dcm2niix();
  let deadline: ReturnType<typeof setTimeout> | undefined;
  try {
    const tooLate = new Promise<readonly File[]>((resolve) => {
      deadline = setTimeout(() => resolve([]), DICOM_DEADLINE_MS);
    });
    const conversion = (async () => {
      await dcm2niix.init();
      const processor = dcm2niix.input(files.map(({ name, bytes }) => new File([bytes], name)));
      processor.commands.push(...DCM2NIIX_ARGUMENTS);
      return processor.run();
    })().catch((): readonly File[] => []);
    const made = await Promise.race([conversion, tooLate]);
    return await Promise.all(
      made.map(async (file) => ({ name: file.name, bytes: new Uint8Array(await file.arrayBuffer()) })),
    );
  } finally {
    clearTimeout(deadline);
    dcm2niix.worker?.terminate();
  }
}

import { expect, test } from 'vitest';
import { filesFromDrop, filesFromInput } from './browser-files.ts';

/** A stand-in for what browsers give for a dropped file or folder; folders hand out two entries at a time. */
function entry(path: string, children?: FileSystemEntry[]): FileSystemEntry {
  const file = new File(['content'], path.slice(path.lastIndexOf('/') + 1));
  return {
    isFile: children === undefined,
    fullPath: path,
    file: (done: (f: File) => void) => done(file),
    createReader() {
      const left = [...(children ?? [])];
      return { readEntries: (done: (some: FileSystemEntry[]) => void) => done(left.splice(0, 2)) };
    },
  } as unknown as FileSystemEntry;
}

test('dropped files and nested folders, several at once, however many files a folder has', async () => {
  const slices = Array.from({ length: 7 }, (_, i) => entry(`/scans/ct/${i}.dcm`));
  const folder = entry('/scans', [entry('/scans/a.nii'), entry('/scans/ct', slices), entry('/scans/empty', [])]);
  const items = [folder, entry('/b.nii.gz'), null].map((e) => ({ webkitGetAsEntry: () => e }));
  const counts: number[] = [];
  const files = await filesFromDrop(items as unknown as DataTransferItem[], (count) => counts.push(count));
  expect(counts[0]).toBe(0);
  expect(Math.max(...counts)).toBe(8); // the ninth is the last
  expect(files.map(({ path }) => path).sort()).toEqual([
    'b.nii.gz',
    'scans/a.nii',
    ...slices.map((_, i) => `scans/ct/${i}.dcm`),
  ]);
  expect(files.every(({ size, handle }) => size === 7 && handle instanceof File)).toBe(true);
});

test('chosen folders keep their paths', () => {
  const inFolder = Object.assign(new File(['x'], 'a.nii'), { webkitRelativePath: 'scans/a.nii' });
  const alone = Object.assign(new File(['x'], 'b.nii'), { webkitRelativePath: '' });
  expect(filesFromInput([inFolder, alone]).map(({ path }) => path)).toEqual(['scans/a.nii', 'b.nii']);
});

test('what the browser cannot open is named, and the rest is found', async () => {
  const fails = (_: unknown, failed: (error: Error) => void) => failed(new DOMException('', 'NotReadableError'));
  const locked = { ...entry('/scans/locked.nii'), file: fails };
  const closed = { ...entry('/scans/closed', []), createReader: () => ({ readEntries: fails }) };
  const folder = entry('/scans', [entry('/scans/a.nii'), locked, closed] as FileSystemEntry[]);
  const files = await filesFromDrop([{ webkitGetAsEntry: () => folder }] as unknown as DataTransferItem[]);
  const seen = files.map(({ path, problem }) => [path, problem !== undefined]).sort();
  expect(seen).toEqual([
    ['scans/a.nii', false],
    ['scans/closed', true],
    ['scans/locked.nii', true],
  ]);
});

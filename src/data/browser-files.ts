/** What a person chose or dropped on a page, as files of the data path. Nothing is read yet. */

import type { FoundFile } from './source.ts';

/** The files of an `<input type="file">`, with `webkitdirectory` or without. */
export function filesFromInput(files: Iterable<File>): FoundFile[] {
  return [...files].map((file) => found(file.webkitRelativePath || file.name, file));
}

/** Told how many files were found so far, while folders are walked. */
export type OnFound = (count: number) => void;

/**
 * Everything dropped: files and folders, nested ones included. Call it in the drop event's handler itself: the
 * browser forgets the items when that returns, so their entries are taken before the first wait.
 */
export function filesFromDrop(items: Iterable<DataTransferItem>, onFound?: OnFound): Promise<FoundFile[]> {
  const entries = [...items].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  return collect(entries, onFound);
}

async function collect(entries: readonly FileSystemEntry[], onFound?: OnFound): Promise<FoundFile[]> {
  const files: FoundFile[] = [];
  const folders: FileSystemEntry[] = [...entries];
  for (let entry = folders.pop(); entry; entry = folders.pop()) {
    onFound?.(files.length);
    try {
      if (entry.isFile) files.push(await fileOf(entry as FileSystemFileEntry));
      else folders.push(...(await childrenOf(entry as FileSystemDirectoryEntry)));
    } catch {
      files.push(unreadable(pathOf(entry)));
    }
  }
  return files;
}

/** A file or folder that the browser named and could not open. */
export function unreadable(path: string): FoundFile {
  const problem = 'The browser could not read it: it may have been moved, or the rights to read it are missing.';
  return { path, size: 0, handle: new Blob(), problem };
}

function pathOf(entry: FileSystemEntry): string {
  return entry.fullPath.replace(/^\//, '');
}

function fileOf(entry: FileSystemFileEntry): Promise<FoundFile> {
  return new Promise((resolve, reject) => {
    entry.file((file) => resolve(found(pathOf(entry), file)), reject);
  });
}

/** A reader hands out a folder's entries a hundred at a time, and none at the end. */
async function childrenOf(folder: FileSystemDirectoryEntry): Promise<FileSystemEntry[]> {
  const reader = folder.createReader();
  const all: FileSystemEntry[] = [];
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) return all;
    all.push(...some);
  }
}

function found(path: string, file: File): FoundFile {
  return { path, size: file.size, handle: file };
}

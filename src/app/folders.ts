/** Folders through the File System Access picker where the browser has it; a folder input elsewhere. */

import { type OnFound, unreadable } from '../data/browser-files.ts';
import type { FoundFile } from '../data/source.ts';
import { rememberFolder } from './remember.ts';

type Picker = (options: { id: string; mode: 'read' }) => Promise<FileSystemDirectoryHandle>;
/** The DOM library lacks these. */
type Directory = FileSystemDirectoryHandle & {
  values(): AsyncIterableIterator<FileSystemHandle>;
  requestPermission?(options: { mode: 'read' }): Promise<PermissionState>;
};

export function hasFolderPicker(): boolean {
  return 'showDirectoryPicker' in window;
}

/** The files of a folder that the person picks; undefined when they change their mind. */
export async function pickFolder(onFound: OnFound): Promise<FoundFile[] | undefined> {
  const { showDirectoryPicker } = window as unknown as { showDirectoryPicker: Picker };
  try {
    const handle = await showDirectoryPicker({ id: 'scans', mode: 'read' });
    await rememberFolder(handle);
    return await filesOf(handle, onFound);
  } catch (error) {
    if ((error as Error).name === 'AbortError') return undefined;
    throw error;
  }
}

/** Asks for a folder of an earlier visit again; undefined when it is refused. Call it from a click. */
export async function reopenFolder(
  handle: FileSystemDirectoryHandle,
  onFound: OnFound,
): Promise<FoundFile[] | undefined> {
  const granted = await (handle as Directory).requestPermission?.({ mode: 'read' });
  return granted === 'granted' ? filesOf(handle, onFound) : undefined;
}

async function filesOf(root: FileSystemDirectoryHandle, onFound: OnFound): Promise<FoundFile[]> {
  const files: FoundFile[] = [];
  const folders: [string, FileSystemDirectoryHandle][] = [[root.name, root]];
  for (let next = folders.pop(); next; next = folders.pop()) {
    const [path, folder] = next;
    try {
      for await (const entry of (folder as Directory).values()) {
        onFound(files.length);
        const at = `${path}/${entry.name}`;
        if (entry.kind === 'directory') folders.push([at, entry as FileSystemDirectoryHandle]);
        else files.push(await fileOf(at, entry as FileSystemFileHandle));
      }
    } catch (error) {
      if (folder === root) throw error;
      files.push(unreadable(path));
    }
  }
  return files;
}

async function fileOf(path: string, entry: FileSystemFileHandle): Promise<FoundFile> {
  const file = await entry.getFile().catch(() => undefined);
  return file ? { path, size: file.size, handle: file } : unreadable(path);
}

/** What the page keeps of a visit besides the runs: settings, and how to get at the same scans again. Never the scans. */

const KEY = 'hyspark-app';

export interface Remembered {
  /** Numbers of the sample scans in the list. */
  readonly samples?: readonly number[];
  /** The interrupted run that is not to be offered again. */
  readonly dismissedRun?: string;
  readonly settings?: Readonly<Record<string, string>>;
  readonly theme?: 'light' | 'dark';
}

export function remembered(): Remembered {
  try {
    return JSON.parse(localStorage.getItem(KEY) ?? '{}') as Remembered;
  } catch {
    return {}; // damaged, or storage is off
  }
}

export function remember(part: Remembered): void {
  try {
    localStorage.setItem(KEY, JSON.stringify({ ...remembered(), ...part }));
  } catch {
    // Storage is off or full: the page works without.
  }
}

/** A folder chosen with the picker can be asked for again: its handle, not its content, is kept in IndexedDB. */
const DATABASE = 'hyspark-app';
const STORE = 'handles';
const FOLDER = 'folder';

export async function rememberFolder(handle: FileSystemDirectoryHandle): Promise<void> {
  await withStore('readwrite', (store) => store.put(handle, FOLDER));
}

export async function rememberedFolder(): Promise<FileSystemDirectoryHandle | undefined> {
  return withStore('readonly', (store) => store.get(FOLDER));
}

/** Undefined when the browser refuses: what is remembered is a convenience. */
async function withStore<T>(mode: IDBTransactionMode, work: (store: IDBObjectStore) => IDBRequest<T>) {
  try {
    const opening = indexedDB.open(DATABASE, 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore(STORE);
    const database = await settled(opening);
    const result = await settled(work(database.transaction(STORE, mode).objectStore(STORE)));
    database.close();
    return result;
  } catch {
    return undefined;
  }
}

function settled<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

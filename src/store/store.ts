/**
 * Where runs, checkpoints and cached volumes live: OPFS in browsers, a folder in Node, memory in tests. Paths use '/'
 * between names; folders come and go with the files in them.
 */

import { HysparkError } from '../errors.ts';

/** Bytes `start` up to but not including `end`. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** What is written: bytes, or the chunks of a writer, for files too large to be held whole. */
export type Content = Uint8Array<ArrayBuffer> | AsyncIterable<Uint8Array<ArrayBuffer>>;

export async function* chunksOf(content: Content): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  if (content instanceof Uint8Array) yield content;
  else yield* content;
}

export interface StoredFile {
  readonly path: string;
  /** Bytes. */
  readonly size: number;
}

/**
 * Every method throws `HysparkError` with code `storage`, or `bad-argument` for a path that is none. Empty
 * files are not written: in browsers they cannot be told from a file whose writing was broken off.
 */
export interface Store {
  /** The file's bytes, or those in `range` as far as the file goes. Error when it is not there. */
  read(path: string, range?: ByteRange): Promise<Uint8Array<ArrayBuffer>>;
  /** The file as it is now, to be read in parts. Error when it is not there. */
  open(path: string): Promise<Blob>;
  /** Replaces the file whole: whoever reads sees the old bytes or the new, even after a crash. */
  write(path: string, content: Content): Promise<void>;
  /** Adds to the end of the file, which is made if it is not there. Not atomic. */
  append(path: string, bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  /** Every file whose path begins with `prefix`, in the order of their paths. */
  list(prefix?: string): Promise<StoredFile[]>;
  /** The file's size in bytes; undefined when it is not there. */
  size(path: string): Promise<number | undefined>;
  /** Removes a file, or a folder with all in it. Nothing happens when it is not there. */
  remove(path: string): Promise<void>;
  /** Removes what processes and tabs that are gone left of files they were writing, here or in one folder. Others may write meanwhile. */
  clean(folder?: string): Promise<void>;
  /** Bytes that may still be written, as far as is known; undefined when it is not. */
  free(): Promise<number | undefined>;
}

/** The names of a path. Error `bad-argument` for one that is empty, leads out of the store, or holds odd characters. */
export function splitPath(path: string): string[] {
  const names = path.split('/');
  const odd = names.some(
    (name) => name === '' || name === '.' || name === '..' || !/^[\p{L}\p{M}\p{N} _.+=@()-]+$/u.test(name),
  );
  if (odd) {
    throw new HysparkError('bad-argument', {
      doing: 'store',
      got: `path "${path}"`,
      need: 'names of letters, digits and . _ - + = @ ( ) between single slashes',
    });
  }
  return names;
}

/** The error of a failed store operation. A full disk is told apart, as something can be done about it. */
export function storageError(doing: string, path: string, cause: unknown): HysparkError {
  // Node tells errors apart by a text in `code`, browsers by `name`; their `code` is a number.
  const { code, name: domName } = cause as { code?: unknown; name?: string };
  const name = typeof code === 'string' ? code : (domName ?? '');
  const full = ['QuotaExceededError', 'ENOSPC', 'EDQUOT', 'EFBIG'].includes(name);
  const missing = ['NotFoundError', 'ENOENT'].includes(name);
  const message = cause instanceof Error ? cause.message : String(cause);
  return new HysparkError('storage', {
    doing: `${doing} "${path}"`,
    got: full ? 'no space left' : missing ? 'no such file' : message,
    advice: full ? 'Free some space, for instance by deleting old runs or prepared scans' : undefined,
    cause,
  });
}

/** `work`, whose errors become those of a store; a `HysparkError` goes on as it is. */
export async function attempt<T>(doing: string, path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    throw cause instanceof HysparkError ? cause : storageError(doing, path, cause);
  }
}

/** Whether an error is a store's that has no space left. */
export function isFull(error: unknown): boolean {
  return error instanceof HysparkError && error.code === 'storage' && error.parts.got === 'no space left';
}

/** The files of `store` below `folder`, as a store of their own. */
export function storeIn(store: Store, folder: string): Store {
  const at = (path: string) => `${folder}/${path}`;
  return {
    read: (path, range) => store.read(at(path), range),
    open: (path) => store.open(at(path)),
    write: (path, content) => store.write(at(path), content),
    append: (path, bytes) => store.append(at(path), bytes),
    list: async (prefix = '') =>
      (await store.list(at(prefix))).map(({ path, size }) => ({ path: path.slice(folder.length + 1), size })),
    size: (path) => store.size(at(path)),
    remove: (path) => store.remove(at(path)),
    clean: (inside) => store.clean(inside === undefined ? folder : at(inside)),
    free: () => store.free(),
  };
}

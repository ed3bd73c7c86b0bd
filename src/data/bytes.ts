/** Reading files piece by piece, gunzipped where needed, never more than asked for. */

import { HysparkError } from '../errors.ts';

/** A file of a dataset. In browsers `blob` is a File; in Node a Blob backed by a file on disk. */
export interface InputFile {
  /** Path within what the person gave, '/' between folders. Never leaves the tab. */
  readonly path: string;
  readonly blob: Blob;
}

/** DEFLATE cannot expand by more than this, so a smaller file cannot hold what its header promises. */
const LARGEST_GZIP_RATIO = 1032;
/** What may follow the last voxel before a file is taken for a gzip bomb. */
const LARGEST_TAIL = 1 << 20;

/** Whether the first two bytes are those of gzip. */
async function isGzip(blob: Blob): Promise<boolean> {
  const start = new Uint8Array(await blob.slice(0, 2).arrayBuffer());
  return start[0] === 0x1f && start[1] === 0x8b;
}

/** A file's bytes in order, gunzipped if they are gzip. Call `close` when done. */
export class ByteReader {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #doing: string;
  readonly #gzip: boolean;
  #chunk: Uint8Array = new Uint8Array(0);

  private constructor(stream: ReadableStream<Uint8Array>, gzip: boolean, doing: string) {
    this.#reader = stream.getReader();
    this.#gzip = gzip;
    this.#doing = doing;
  }

  /** `doing` opens the message of every error. */
  static async open(blob: Blob, doing: string): Promise<{ reader: ByteReader; gzip: boolean }> {
    const gzip = await isGzip(blob);
    const stream = blob.stream() as ReadableStream<Uint8Array<ArrayBuffer>>;
    const plain = gzip ? stream.pipeThrough(new DecompressionStream('gzip')) : stream;
    return { reader: new ByteReader(plain, gzip, doing), gzip };
  }

  /** The next chunk, or undefined at the end. Throws `bad-file` where the gzip stream is damaged or the file cannot be read. */
  async #next(): Promise<Uint8Array | undefined> {
    try {
      const { done, value } = await this.#reader.read();
      return done ? undefined : value;
    } catch (cause) {
      throw new HysparkError('bad-file', {
        doing: this.#doing,
        // Browsers unpack one member only, of files of several (bgzip, or joined ones) nothing more.
        got: this.#gzip
          ? 'a gzip stream that is damaged, ends early or has several parts'
          : 'a file that cannot be read',
        advice: this.#gzip ? 'Copy or download the file again, or unpack it' : 'Add it again',
        cause,
      });
    }
  }

  /** Fills `target` as far as the file goes; returns how many bytes were there. */
  async read(target: Uint8Array): Promise<number> {
    let filled = 0;
    while (filled < target.length) {
      if (this.#chunk.length === 0) {
        const chunk = await this.#next();
        if (chunk === undefined) break;
        this.#chunk = chunk;
      }
      const part = this.#chunk.subarray(0, target.length - filled);
      target.set(part, filled);
      filled += part.length;
      this.#chunk = this.#chunk.subarray(part.length);
    }
    return filled;
  }

  /** Passes over `count` bytes; returns how many were there. */
  async skip(count: number): Promise<number> {
    let skipped = 0;
    while (skipped < count) {
      if (this.#chunk.length === 0) {
        const chunk = await this.#next();
        if (chunk === undefined) break;
        this.#chunk = chunk;
      }
      const part = Math.min(this.#chunk.length, count - skipped);
      skipped += part;
      this.#chunk = this.#chunk.subarray(part);
    }
    return skipped;
  }

  /** Reads on to the end, which checks a gzip stream's sum. Throws `bad-file` if much more follows. */
  async finish(): Promise<void> {
    if ((await this.skip(LARGEST_TAIL + 1)) > LARGEST_TAIL) {
      throw new HysparkError('bad-file', {
        doing: this.#doing,
        got: 'more than a mebibyte after the last voxel',
        need: 'a file of the size that its header gives',
      });
    }
  }

  async close(): Promise<void> {
    // What a damaged stream still has to say is of no interest any more.
    await this.#reader.cancel().catch(() => undefined);
  }
}

/** Throws `bad-file` when `blob` cannot hold `bytes` bytes, before memory is taken for them. */
export function checkCanHold(blob: Blob, gzip: boolean, bytes: number, doing: string): void {
  const most = gzip ? blob.size * LARGEST_GZIP_RATIO : blob.size;
  if (most < bytes) {
    throw new HysparkError('bad-file', {
      doing,
      got: `${blob.size} bytes${gzip ? ' of gzip' : ''}`,
      need: `the ${bytes} bytes that its header promises`,
      advice: 'The file is cut short: copy or download it again',
    });
  }
}

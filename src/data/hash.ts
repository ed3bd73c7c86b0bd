/** Content hashes: what a scan is called wherever a file name must not appear, and what its cached volume is found by. */

/** Files up to this size are hashed whole. */
const WHOLE_BYTES = 8 << 20;
/** Of larger ones, this many pieces spread evenly from first byte to last. */
const PIECES = 32;
const PIECE_BYTES = WHOLE_BYTES / PIECES;

/**
 * 16 hexadecimal digits of SHA-256 over sizes and contents of the files, whatever their names and order. Of a file
 * above 8 MiB, its first and last 256 KiB and 30 pieces between: reading a large collection whole only to name its
 * scans would take longer than a step of training, and the end of a gzip file holds the check sum of all of it.
 */
export async function contentHash(blobs: readonly Blob[]): Promise<string> {
  const each: string[] = [];
  for (const blob of blobs) each.push(await blobHash(blob));
  const all = each.length === 1 ? each[0]! : await sha256(new TextEncoder().encode(each.sort().join()));
  return all.slice(0, 16);
}

/** A hash of parameters, for cache keys: 8 hexadecimal digits. */
export async function parametersHash(parameters: unknown): Promise<string> {
  return (await sha256(new TextEncoder().encode(JSON.stringify(parameters)))).slice(0, 8);
}

async function blobHash(blob: Blob): Promise<string> {
  const parts: Uint8Array[] = [new TextEncoder().encode(`${blob.size} `)];
  if (blob.size <= WHOLE_BYTES) {
    parts.push(new Uint8Array(await blob.arrayBuffer()));
  } else {
    for (let i = 0; i < PIECES; i++) {
      const start = Math.floor((i * (blob.size - PIECE_BYTES)) / (PIECES - 1));
      parts.push(new Uint8Array(await blob.slice(start, start + PIECE_BYTES).arrayBuffer()));
    }
  }
  return sha256(new Uint8Array(await new Blob(parts as Uint8Array<ArrayBuffer>[]).arrayBuffer()));
}

async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** Bytes in memory of their own, which can go into a Blob or a file as they are. */
export type Bytes = Uint8Array<ArrayBuffer>;

export function concatBytes(parts: readonly Uint8Array[]): Bytes {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** Joins the chunks of a writer, for files small enough to be held twice. */
export async function concatChunks(chunks: AsyncIterable<Uint8Array>): Promise<Bytes> {
  const list: Uint8Array[] = [];
  for await (const chunk of chunks) list.push(chunk);
  return concatBytes(list);
}

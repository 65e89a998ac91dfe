/** Cuts a buffer into chunks of the given sizes. */
export function split(buffer: Buffer, sizes: Iterator<number>): Buffer[] {
  const chunks: Buffer[] = [];
  for (let offset = 0; offset < buffer.length; ) {
    const size = Math.max(1, Number(sizes.next().value ?? 1));
    chunks.push(buffer.subarray(offset, offset + size));
    offset += size;
  }
  return chunks;
}

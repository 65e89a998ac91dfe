import type { Readable, Writable } from 'node:stream';

/** The pipes of a child are sockets, which have unref(), although the types of its streams do not declare it. */
export function unrefStream(stream: Readable | Writable | null | undefined): void {
  if (stream && 'unref' in stream && typeof stream.unref === 'function') stream.unref();
}

/** Resolves when it was read to its end, or cannot be read any more. */
export function streamEnd(stream: Readable | null | undefined): Promise<void> {
  return new Promise((resolve) => {
    if (!stream || stream.readableEnded || stream.destroyed) return resolve();
    stream.once('end', resolve);
    stream.once('close', resolve);
    stream.once('error', () => resolve());
  });
}

/** Something to write is left when this host, or this worker thread, exits. */
interface Flushed {
  /** May throw. */
  flushNow(): void;
}

const waiting = new Set<Flushed>();

/** One listener for all of them, and only while one waits. */
export function atExit(one: Flushed): void {
  if (waiting.size === 0) process.on('exit', flush);
  waiting.add(one);
}

export function notAtExit(one: Flushed): void {
  if (waiting.delete(one) && waiting.size === 0) process.off('exit', flush);
}

function flush(): void {
  for (const one of waiting) {
    try {
      one.flushNow();
    } catch {
      // The disk is full, or the folder is gone: there is no place left to report it.
    }
  }
}

/** Chunks of this size and more are kept as they came. Smaller ones are joined, because each costs 100 bytes and more. */
const SMALL = 4_096;
/** Largest block that small chunks are joined in. */
const LARGEST_BLOCK = 65_536;

/**
 * The bytes of a stream in the order in which they came, until they are taken together. Its memory is at most twice as
 * large as the bytes and a block, however small the chunks are; its cost is linear in the bytes.
 */
export class ByteList {
  #parts: Buffer[] = [];
  /** The last block, and how much of it is in use. */
  #block: Buffer | undefined;
  #used = 0;
  #size = 0;

  /** Bytes. */
  get size(): number {
    return this.#size;
  }

  push(chunk: Buffer): void {
    this.#size += chunk.length;
    if (chunk.length >= SMALL) {
      this.#seal();
      this.#parts.push(chunk);
      return;
    }
    const copied = this.#block ? chunk.copy(this.#block, this.#used) : 0;
    this.#used += copied;
    if (copied === chunk.length) return;
    this.#seal();
    // Not from Node's own pool of small buffers: each would keep 8 KB of it.
    this.#block = Buffer.allocUnsafeSlow(Math.min(Math.max(SMALL, this.#size), LARGEST_BLOCK));
    this.#used = chunk.copy(this.#block, 0, copied);
  }

  /** All bytes in one piece. The list is empty afterwards. */
  take(): Buffer {
    this.#seal();
    const [first] = this.#parts;
    const all = this.#parts.length === 1 && first ? first : Buffer.concat(this.#parts, this.#size);
    this.clear();
    return all;
  }

  clear(): void {
    this.#parts = [];
    this.#block = undefined;
    this.#used = 0;
    this.#size = 0;
  }

  #seal(): void {
    const part = this.#block?.subarray(0, this.#used);
    // A part of a block keeps the whole block.
    if (part && part.length > 0) this.#parts.push(part.length * 2 < (this.#block?.length ?? 0) ? copyOf(part) : part);
    this.#block = undefined;
    this.#used = 0;
  }
}

function copyOf(bytes: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length);
  bytes.copy(copy);
  return copy;
}

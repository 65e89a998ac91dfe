/** Most of the lines that wait, characters: about as many bytes. */
const MOST_WAITING = 1_048_576;
/** Most of one write, characters. */
const BATCH = 65_536;

/** Lines that wait to be written, oldest first. Beyond a limit the oldest are dropped and counted. */
export class LineQueue {
  readonly #lines: string[] = [];
  readonly #most: number;
  #size = 0;
  #dropped = 0;
  /** What is being written, and how many dropped lines its first line reports. */
  #taken: { readonly lines: readonly string[]; readonly dropped: number } = { lines: [], dropped: 0 };

  constructor(most = MOST_WAITING) {
    this.#most = most;
  }

  get isEmpty(): boolean {
    return this.#lines.length === 0;
  }

  /** How many characters the next write has, at most. */
  get next(): number {
    return Math.min(this.#size, BATCH);
  }

  push(line: string): void {
    this.#lines.push(line);
    this.#size += line.length;
    this.#bound();
  }

  /**
   * Takes the next lines; follow with `settle`.
   * @param notice the line that reports how many were dropped before these
   * @param most characters, apart from the first line
   */
  take(notice: (dropped: number) => string, most = BATCH): string[] {
    let count = 0;
    for (let size = 0; count < this.#lines.length; count++) {
      size += this.#lines[count]?.length ?? 0;
      if (count > 0 && size > most) break;
    }
    const lines = this.#lines.splice(0, count);
    this.#size -= sizeOf(lines);
    const dropped = this.#dropped;
    this.#taken = { lines, dropped };
    return dropped > 0 ? [notice(dropped), ...lines] : lines;
  }

  /** The first `written` lines that `take` has returned are written; the others wait again. */
  settle(written: number): void {
    const { lines, dropped } = this.#taken;
    this.#taken = { lines: [], dropped: 0 };
    const hasNotice = dropped > 0;
    const rest = lines.slice(hasNotice ? Math.max(0, written - 1) : written);
    const hasDroppedNewer = this.#dropped > dropped;
    if (hasNotice && written > 0) this.#dropped -= dropped;
    if (hasDroppedNewer) {
      // The oldest first, and a number for all lines that are missing at one place.
      this.#dropped += rest.length;
      return;
    }
    this.#lines.unshift(...rest);
    this.#size += sizeOf(rest);
    this.#bound();
  }

  clear(): void {
    this.#lines.length = 0;
    this.#size = 0;
  }

  #bound(): void {
    while (this.#size > this.#most) {
      this.#size -= this.#lines.shift()?.length ?? 0;
      this.#dropped += 1;
    }
  }
}

function sizeOf(lines: readonly string[]): number {
  return lines.reduce((sum, { length }) => sum + length, 0);
}

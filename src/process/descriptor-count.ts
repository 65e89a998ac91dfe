/** For so long a list stands for what is open, ms for each in it: it takes about a microsecond for each. */
const PER_DESCRIPTOR = 10;
/** And not longer, ms. */
const LONGEST = 60_000;

/** /proc/self/fd, where each descriptor of this process has a name. */
export interface DescriptorFolder {
  /** Its size. It needs no descriptor. */
  size(): number | undefined;
  /** How many names it has, that of its own look included. */
  names(): number | undefined;
}

/**
 * How many descriptors this process has. Since Linux 6.2 the size of the folder is it. Before that they have to be listed,
 * and nothing else runs meanwhile: so the more there are, the less often, but often where few are left.
 */
export class DescriptorCount {
  readonly #folder: DescriptorFolder;
  readonly #now: () => number;
  /** Whether its size is their number; undefined until that is known. */
  #isSize: boolean | undefined;
  #listed: { readonly count: number; readonly until: number } | undefined;

  /** @param now monotonic, ms */
  constructor(folder: DescriptorFolder, now: () => number) {
    this.#folder = folder;
    this.#now = now;
  }

  /**
   * Undefined when it is not known.
   * @param allowed how many this process may have
   * @throws what the folder throws
   */
  read(allowed = Infinity): number | undefined {
    const size = this.#folder.size();
    if (this.#isSize) return size;
    const now = this.#now();
    if (this.#listed && now < this.#listed.until) return this.#listed.count;
    this.#listed = undefined;
    const names = this.#folder.names();
    if (names === undefined) return undefined;
    const count = names - 1;
    if (size === count) this.#isSize = true;
    const few = Math.max(0, Math.min(count, allowed - count));
    this.#listed = { count, until: now + Math.min(LONGEST, few * PER_DESCRIPTOR) };
    return count;
  }

  /** What was listed counts no more. */
  forget(): void {
    this.#listed = undefined;
  }
}

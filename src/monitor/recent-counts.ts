/** What was counted in one part of the time. */
interface Part {
  /** Observed time, ms. */
  readonly since: number;
  lowest: number;
  highest: number;
  sum: number;
  samples: number;
}

/** What was counted in one half of the time. `highest` is `-Infinity`, and `mean` no number, where nothing was. */
interface Half {
  readonly highest: number;
  readonly mean: number;
}

/** In so many parts the time is divided, so that the memory has a limit however long it is. */
const PARTS = 12;

/** A number of the last time: the least, and what each half shows. It is fed observed times. */
export class RecentCounts {
  readonly #length: number;
  /** The oldest first. The first one began before the time that counts. */
  readonly #parts: Part[] = [];
  #now = 0;

  /** @param length ms that count */
  constructor(length: number) {
    this.#length = length;
  }

  add(now: number, count: number): void {
    this.#now = now;
    const last = this.#parts.at(-1);
    if (last && now - last.since < this.#length / PARTS) {
      last.lowest = Math.min(last.lowest, count);
      last.highest = Math.max(last.highest, count);
      last.sum += count;
      last.samples += 1;
    } else this.#parts.push({ since: now, lowest: count, highest: count, sum: count, samples: 1 });
    for (let next = this.#parts[1]; next && next.since <= now - this.#length; next = this.#parts[1])
      this.#parts.shift();
  }

  /** Whether all of the time is known. */
  get isFull(): boolean {
    const first = this.#parts[0];
    return first !== undefined && first.since <= this.#now - this.#length;
  }

  /** `Infinity` when nothing was counted. */
  get lowest(): number {
    return Math.min(...this.#parts.map(({ lowest }) => lowest));
  }

  get halves(): { readonly earlier: Half; readonly later: Half } {
    const middle = this.#now - this.#length / 2;
    const count = this.#parts.filter(({ since }) => since <= middle).length;
    return { earlier: halfOf(this.#parts.slice(0, count)), later: halfOf(this.#parts.slice(count)) };
  }
}

function halfOf(parts: readonly Part[]): Half {
  let [sum, samples, highest] = [0, 0, -Infinity];
  for (const part of parts) {
    sum += part.sum;
    samples += part.samples;
    highest = Math.max(highest, part.highest);
  }
  return { highest, mean: sum / samples };
}

/** How far apart the ends of a bucket are: what is read is within 1 % of what was recorded. */
const GROWTH = 1.02;
const STEP = Math.log(GROWTH);
/** Times up to this count as 0, ms. */
const LEAST = 0.01;
/** Longer times count as this, ms: a day. */
const MOST = 86_400_000;
/** Buckets of one chunk. A chunk is made when it is needed: most times of a server are near each other. */
const CHUNK = 32;

/**
 * How often each time was recorded, in buckets that grow by 2 %. No single time is kept. A histogram of `perf_hooks` with this
 * precision takes 16 KB at once; a server has some dozens of these.
 */
export class Histogram {
  /** By the number of the chunk. */
  readonly #chunks: (number[] | undefined)[] = [];
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** @param ms what is no time (negative, not a number) is left out */
  record(ms: number, times = 1): void {
    if (!(ms >= 0)) return;
    const bucket = bucketOf(ms);
    const index = bucket % CHUNK;
    const counts = this.#chunk((bucket - index) / CHUNK);
    counts[index] = (counts[index] ?? 0) + times;
    this.#count += times;
  }

  /** Adds all that another one has recorded. */
  add(other: Histogram): void {
    this.#count += other.#count;
    for (let chunk = 0; chunk < other.#chunks.length; chunk += 1) {
      const added = other.#chunks[chunk];
      if (added === undefined) continue;
      const counts = this.#chunk(chunk);
      for (let index = 0; index < CHUNK; index += 1) counts[index] = (counts[index] ?? 0) + (added[index] ?? 0);
    }
  }

  /** The least recorded time that so many percent are not above, ms; undefined when none was recorded. */
  percentile(percent: number): number | undefined {
    let left = Math.max(1, Math.ceil((percent * this.#count) / 100));
    for (let chunk = 0; chunk < this.#chunks.length; chunk += 1) {
      const counts = this.#chunks[chunk];
      if (counts === undefined) continue;
      for (let index = 0; index < CHUNK; index += 1) {
        left -= counts[index] ?? 0;
        if (left <= 0) return timeOf(chunk * CHUNK + index);
      }
    }
    return undefined;
  }

  #chunk(number: number): number[] {
    let counts = this.#chunks[number];
    if (counts === undefined) {
      counts = new Array<number>(CHUNK).fill(0);
      this.#chunks[number] = counts;
    }
    return counts;
  }
}

function bucketOf(ms: number): number {
  return ms <= LEAST ? 0 : Math.ceil(Math.log(Math.min(ms, MOST) / LEAST) / STEP);
}

/** Equally far from both ends of the bucket, as a share of them. */
function timeOf(bucket: number): number {
  return bucket === 0 ? 0 : (2 * LEAST * GROWTH ** bucket) / (1 + GROWTH);
}

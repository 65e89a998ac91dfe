/** What a command has done until now. */
export interface Progress {
  /** Ms. */
  readonly cpuTime: number;
  /** Bytes that it has written, or read and written where only both are known. */
  readonly bytes: number;
}

/** Less CPU time than this share of the time is none: an idle program has timers, too. */
const LEAST_SHARE = 0.01;

/** A look that comes after more than so many intervals says nothing about the time before. */
const MOST_LATE = 4;

/** Whether a command is stalled: it neither writes nor computes. No clock, no effect. */
export class StallWatch {
  readonly #after: number;
  #last: (Progress & { readonly at: number }) | undefined;
  #activeAt: number;
  #isStalled = false;

  /** @param after ms */
  constructor(after: number, now: number) {
    this.#after = after;
    this.#activeAt = now;
  }

  /** How often to look, ms. */
  get interval(): number {
    return Math.min(Math.max(this.#after / 4, 10), 10_000);
  }

  /** For how long it has done nothing, ms, if it is stalled since this look; once for each stall. */
  see(now: number, progress: Progress): number | undefined {
    const last = this.#last;
    this.#last = { ...progress, at: now };
    // This process was stopped (Ctrl-Z): it has not read what the command wrote, which could not go on then.
    if (last !== undefined && now - last.at > MOST_LATE * this.interval) this.#activeAt = now;
    if (last === undefined || isActive(last, progress, now - last.at)) {
      this.#activeAt = now;
      this.#isStalled = false;
    }
    const idle = now - this.#activeAt;
    if (this.#isStalled || idle < this.#after) return undefined;
    this.#isStalled = true;
    return idle;
  }
}

function isActive(before: Progress, now: Progress, elapsed: number): boolean {
  return now.bytes !== before.bytes || now.cpuTime - before.cpuTime > elapsed * LEAST_SHARE;
}

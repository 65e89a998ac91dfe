import { ObservedTime } from './observed-time.js';
import { RecentCounts } from './recent-counts.js';

/**
 * While a server starts it may have this many processes: installers and compilers run then. Also the most that is expected by
 * the first sample after it was ready: a burst may have come before that. The moment of ready itself would not do. A dedicated
 * server is ready as soon as it is spawned, and a first call, which starts a browser, often comes with the lease.
 */
const MOST_AT_START = 20;
/** A launcher, its shell and the server (npx, uvx): this many are usual whenever they come, also after a server was ready. */
const LAUNCHED = 3;
/** How long so many must have been there before they are expected, ms. */
const STANDS_STILL = 60_000;
/** Helpers come and go: so many more than the least of that time are expected, too, if it had them in its earlier half. */
const RESTLESS = 2;
/** A number grows when its mean of the later half of that time is above that of the earlier half by more than this. */
const GROWS = 1;

/** What one tree is expected to have; what it has beyond that is unexpected. It is fed samples. */
export class ExpectedProcesses {
  #defined: number | undefined;
  readonly #time = new ObservedTime(STANDS_STILL / 3);
  #expected: number | undefined;
  /** Each raise doubles it: a server that loses one process now and then would be raised for ever. */
  #stillFor = STANDS_STILL;
  /** What it had in that time. */
  #recent = new RecentCounts(STANDS_STILL);

  /** @param defined `expectedProcesses` of the definition */
  constructor(defined?: number) {
    this.#defined = defined;
  }

  /** How many processes it is expected to have now. */
  get expected(): number {
    return this.#expected ?? Math.max(this.#defined ?? 0, MOST_AT_START);
  }

  /** The definition has another number, or none any more: then the next sample counts as the first one. */
  define(defined: number | undefined): void {
    if (defined === this.#defined) return;
    this.#defined = defined;
    this.#expected = undefined;
    this.#restart(STANDS_STILL);
  }

  /**
   * Takes a sample, and returns how many processes are unexpected.
   *
   * @param at Clock time, ms.
   * @param processes Living ones. 0 is a tree that has vanished, and changes nothing.
   * @param isReady Whether the server can be used.
   */
  update(at: number, processes: number, isReady: boolean): number {
    this.#time.advance(at);
    if (processes > 0 && isReady) this.#learn(processes);
    return Math.max(processes - this.expected, 0);
  }

  #learn(processes: number): void {
    if (this.#defined !== undefined) {
      this.#expected = this.#defined;
      return;
    }
    this.#expected ??= Math.min(processes, MOST_AT_START);
    if (processes <= LAUNCHED) this.#expected = Math.max(this.#expected, processes);
    this.#recent.add(this.#time.now, processes);
    this.#raise(this.#expected);
  }

  /** What was there all the time is usual, if the number does not grow. */
  #raise(expected: number): void {
    const { isFull, lowest, halves } = this.#recent;
    const { earlier, later } = halves;
    if (!isFull || later.mean > earlier.mean + GROWS) return;
    const isStill = Math.max(earlier.highest, later.highest) <= lowest + RESTLESS;
    const usual = Math.min(earlier.highest, lowest + RESTLESS);
    if (usual <= expected || (lowest <= expected && !isStill)) return;
    this.#expected = usual;
    this.#restart(this.#stillFor * 2);
  }

  #restart(stillFor: number): void {
    this.#stillFor = stillFor;
    this.#recent = new RecentCounts(stillFor);
  }
}

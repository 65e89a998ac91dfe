import { ObservedTime } from './observed-time.js';

/**
 * While a server starts it may have this many processes: installers and compilers run then. Also the most that is expected
 * because it was there when the server became ready, so that a burst before the first sample is not taken for its usual size.
 */
const MOST_AT_START = 20;
/** A launcher, its shell and the server (npx, uvx): this many are usual whenever they come, also after a server was ready. */
const LAUNCHED = 3;
/** How long a number must stand still before it is expected, ms. */
const STANDS_STILL = 60_000;
/** A number that moves by no more than this stands still: helpers come and go. */
const RESTLESS = 2;

/** What one tree is expected to have; what it has beyond that is unexpected. It is fed samples. */
export class ExpectedProcesses {
  #defined: number | undefined;
  readonly #time = new ObservedTime(STANDS_STILL / 3);
  #expected: number | undefined;
  /** Observed time since which the number is between `#lowest` and `#highest`. */
  #stillSince = 0;
  #lowest = 0;
  #highest = 0;
  /** Each raise doubles it: a server that loses one process now and then would be raised for ever. */
  #stillFor = STANDS_STILL;

  /** @param defined `expectedProcesses` of the definition */
  constructor(defined?: number) {
    this.#defined = defined;
  }

  /** How many processes it is expected to have now. */
  get expected(): number {
    return this.#expected ?? Math.max(this.#defined ?? 0, MOST_AT_START);
  }

  /** The definition says another number, or none any more: then what the tree has next is what it has when it is ready. */
  define(defined: number | undefined): void {
    if (defined === this.#defined) return;
    this.#defined = defined;
    this.#expected = undefined;
    this.#stillFor = STANDS_STILL;
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
    if (this.#expected === undefined) {
      this.#expected = Math.min(processes, MOST_AT_START);
      this.#startStill(processes);
    }
    if (processes <= LAUNCHED) this.#expected = Math.max(this.#expected, processes);
    this.#lowest = Math.min(this.#lowest, processes);
    this.#highest = Math.max(this.#highest, processes);
    if (this.#highest - this.#lowest > RESTLESS) this.#startStill(processes);
    else if (this.#time.now - this.#stillSince >= this.#stillFor) this.#raise(processes);
  }

  #raise(processes: number): void {
    if (this.#highest > this.expected) {
      this.#expected = this.#highest;
      this.#stillFor *= 2;
    }
    this.#startStill(processes);
  }

  #startStill(processes: number): void {
    this.#stillSince = this.#time.now;
    this.#lowest = processes;
    this.#highest = processes;
  }
}

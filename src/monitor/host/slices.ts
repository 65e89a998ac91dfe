import { setTimeout as pause } from 'node:timers/promises';
import type { Clock } from '../../runtime/clock.js';
import { within } from '../../runtime/within.js';

/** After steps of this cost other work has its turn. */
const STEPS = 500;
/** ms */
const PAUSE = 10;
/** For one step that may hang, ms. */
const LONGEST_STEP = 10_000;

export interface SliceLimits {
  /** The sum of their costs. */
  readonly steps: number;
  /** ms */
  readonly time: number;
}

export interface SliceOptions {
  /** Ends the work early. */
  readonly signal?: AbortSignal | undefined;
  /** Whether the work holds the host. Default: false: in each pause a host that has nothing else to do can exit. */
  readonly hold?: boolean;
}

/** Divides long work into slices, and ends it at its limits. */
export class Slices {
  readonly #clock: Clock;
  readonly #signal: AbortSignal | undefined;
  readonly #hold: boolean;
  readonly #start: number;
  readonly #end: number;
  readonly #most: number;
  #steps = 0;
  #sincePause = 0;

  constructor(clock: Clock, { steps, time }: SliceLimits, { signal, hold = false }: SliceOptions = {}) {
    this.#clock = clock;
    this.#signal = signal;
    this.#hold = hold;
    this.#start = clock.now();
    this.#end = this.#start + time;
    this.#most = steps;
  }

  /**
   * Call it for each step; false when there may be no more.
   * @param cost of a synchronous step: in units of 3 microseconds
   */
  async next(cost = 1): Promise<boolean> {
    this.#steps += cost;
    this.#sincePause += cost;
    if (this.#sincePause >= STEPS) {
      this.#sincePause = 0;
      await pause(PAUSE, undefined, { ref: this.#hold, signal: this.#signal }).catch(() => {});
    }
    return !this.isOver;
  }

  /** The result of a step; undefined when it fails, or takes longer than 10 s. */
  finish<T>(step: Promise<T>): Promise<T | undefined> {
    return within(this.#clock, LONGEST_STEP, step).catch(() => undefined);
  }

  /** Since the begin, ms. */
  get elapsed(): number {
    return this.#clock.now() - this.#start;
  }

  get isOver(): boolean {
    return this.isAborted || this.#steps > this.#most || this.#clock.now() >= this.#end;
  }

  get isAborted(): boolean {
    return this.#signal?.aborted === true;
  }
}

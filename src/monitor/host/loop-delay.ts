import type { Clock, Timer } from '../../runtime/clock.js';
import type { EventLoopDelay } from './host-sample.js';

/** ms between two looks. Each costs some microseconds. */
const INTERVAL = 50;
/** Of so many looks p99 is calculated: one minute. */
const MOST = 1_200;

/**
 * How late the event loop is. Not `monitorEventLoopDelay()` of Node: after each reset that misses the first interval, and
 * with it what blocks the loop right after a sample.
 */
export class LoopDelay {
  readonly #clock: Clock;
  #timer: Timer | undefined;
  /** The latest, the oldest overwritten first. */
  #late: number[] = [];
  #count = 0;
  #sum = 0;
  #max = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  start(): void {
    if (this.#timer === undefined) this.#arm();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#clear();
  }

  /** Since the last call; undefined when it is stopped, or nothing was measured yet. */
  take(): EventLoopDelay | undefined {
    if (this.#count === 0) return undefined;
    const sorted = this.#late.sort((a, b) => a - b);
    const p99 = sorted[Math.ceil(sorted.length * 0.99) - 1] ?? 0;
    const delay = { mean: tenths(this.#sum / this.#count), p99: tenths(p99), max: tenths(this.#max) };
    this.#clear();
    return delay;
  }

  #arm(): void {
    const due = this.#clock.now() + INTERVAL;
    this.#timer = this.#clock.after(INTERVAL, () => {
      this.#add(Math.max(0, this.#clock.now() - due));
      this.#arm();
    });
  }

  #add(late: number): void {
    this.#late[this.#count % MOST] = late;
    this.#count += 1;
    this.#sum += late;
    this.#max = Math.max(this.#max, late);
  }

  #clear(): void {
    this.#late = [];
    this.#count = 0;
    this.#sum = 0;
    this.#max = 0;
  }
}

function tenths(value: number): number {
  return Math.round(value * 10) / 10;
}

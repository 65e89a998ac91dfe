import { type Clock, type Timer, timerDelay } from '../../src/runtime/clock.js';
import { flush } from './until.js';

interface Due extends Timer {
  readonly at: number;
  readonly order: number;
  readonly holding: boolean;
  task(): void;
}

/** A clock that stands still until a test advances it. */
export class ManualClock implements Clock {
  #now: number;
  #order = 0;
  readonly #timers = new Set<Due>();

  constructor(now = 1_000_000) {
    this.#now = now;
  }

  now(): number {
    return this.#now;
  }

  after(delay: number, task: () => void, hold?: 'holding'): Timer {
    const due: Due = {
      at: this.#now + Math.max(delay, 0),
      order: this.#order++,
      holding: hold === 'holding',
      task,
      cancel: () => this.#timers.delete(due),
    };
    this.#timers.add(due);
    return due;
  }

  /** Number of timers that are set. */
  get pending(): number {
    return this.#timers.size;
  }

  /** How many of them keep the host alive. */
  get holding(): number {
    return [...this.#timers].filter(({ holding }) => holding).length;
  }

  /** Milliseconds until the next timer is due; undefined when none is set. */
  get nextIn(): number | undefined {
    const next = this.#next(Infinity);
    return next && next.at - this.#now;
  }

  /** Advances the time without running a timer, as when the host blocks its event loop. */
  jump(ms: number): void {
    this.#now += ms;
  }

  /** Advances the time, and runs the timers that become due, in order of their due times; also those that they set. */
  advance(ms: number): void {
    const end = this.#now + ms;
    for (let due = this.#next(end); due !== undefined; due = this.#next(end)) this.#run(due);
    this.#now = end;
  }

  /** Advances the time but runs no timer, as it happens in a host that is busy; the next advance runs them. */
  lag(ms: number): void {
    this.#now += ms;
  }

  /** The same as `advance()`, with time for promises and streams after each timer. */
  async advanceAndFlush(ms: number): Promise<void> {
    const end = this.#now + ms;
    await flush();
    for (let due = this.#next(end); due !== undefined; due = this.#next(end)) {
      this.#run(due);
      await flush();
    }
    this.#now = end;
  }

  #run(due: Due): void {
    this.#timers.delete(due);
    this.#now = Math.max(this.#now, due.at);
    due.task();
  }

  #next(end: number): Due | undefined {
    let next: Due | undefined;
    for (const due of this.#timers) {
      if (due.at > end || due.at === Infinity) continue;
      if (next === undefined || due.at < next.at || (due.at === next.at && due.order < next.order)) next = due;
    }
    return next;
  }
}

interface JumpingTimer extends Timer {
  readonly at: number;
  set(): void;
}

/**
 * The time of the host, which a test can let jump ahead: a long wait is over at once, and none is over too early on a busy
 * machine.
 */
export class JumpingClock implements Clock {
  #ahead = 0;
  readonly #timers = new Set<JumpingTimer>();

  now(): number {
    return performance.now() + this.#ahead;
  }

  after(delay: number, task: () => void, hold?: 'holding'): Timer {
    const at = this.now() + Math.max(delay, 0);
    let timer: NodeJS.Timeout | undefined;
    const due: JumpingTimer = {
      at,
      set: () => {
        clearTimeout(timer);
        timer = setTimeout(run, timerDelay(at - this.now()));
        if (hold !== 'holding') timer.unref();
      },
      cancel: () => {
        clearTimeout(timer);
        this.#timers.delete(due);
      },
    };
    const run = () => {
      this.#timers.delete(due);
      task();
    };
    this.#timers.add(due);
    due.set();
    return due;
  }

  jump(ms: number): void {
    this.#ahead += ms;
    for (const due of this.#timers) due.set();
  }
}

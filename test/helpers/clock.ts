import type { Clock, Timer } from '../../src/runtime/clock.js';
import { flush } from './until.js';

interface Due extends Timer {
  readonly at: number;
  readonly order: number;
  readonly holding: boolean;
  task(): void;
}

/** Time that stands still until a test turns it. */
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

  /** Timers that wait. */
  get pending(): number {
    return this.#timers.size;
  }

  /** Those of them that keep the host alive. */
  get holding(): number {
    return [...this.#timers].filter(({ holding }) => holding).length;
  }

  /** Ms until the next timer is due; undefined when none waits. */
  get nextIn(): number | undefined {
    const next = this.#next(Infinity);
    return next && next.at - this.#now;
  }

  /** Turns the time on, and runs what is due in the order in which it is due; also what that itself sets. */
  advance(ms: number): void {
    const end = this.#now + ms;
    for (let due = this.#next(end); due !== undefined; due = this.#next(end)) this.#run(due);
    this.#now = end;
  }

  /** The same, but lets promises and streams run after each timer. */
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

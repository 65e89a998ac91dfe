import type { Clock, Timer } from './clock.js';
import { Heap, type HeapItem } from './heap.js';

/** Something that has to be looked at when its time has come. */
export interface Due extends HeapItem {
  /** Of two that are due at the same time, the one with the lower order comes first. Written by `DueTimes` only. */
  order: number;
  /** What it concerns, for a fault in {@link fallDue}. */
  readonly about?: object | undefined;
  /** Called once, at or after the time that was set; it may have been deleted since, and may set the next time. */
  fallDue(now: number): void;
}

/** Something to be looked at by a function, which is called as `fallDue`. */
export function newDue(fallDue: (now: number) => void, about?: object): Due {
  return { rank: 0, place: -1, order: 0, about, fallDue };
}

/**
 * When what falls due, in one ordered structure: deadlines of callers, idle timeouts, lifetimes, silent leases. See
 * {@link DueTimer} for the timer.
 */
export class DueTimes {
  readonly #heap = new Heap<Due>();
  #order = 0;

  /** Clock time of what falls due first; `Infinity` when nothing does. */
  get next(): number {
    return this.#heap.first?.rank ?? Infinity;
  }

  /** Sets or changes the time; `Infinity` takes it away. */
  set(due: Due, at: number): void {
    due.order = ++this.#order;
    if (at === Infinity) this.#heap.delete(due);
    else this.#heap.set(due, at);
  }

  /**
   * Makes sure that `due` is looked at no later than `at`. An earlier time stays: to look once too often costs less than to
   * move what is used all the time.
   */
  noLaterThan(due: Due, at: number): void {
    if (due.place === -1 || at < due.rank) this.set(due, at);
  }

  delete(due: Due): void {
    this.#heap.delete(due);
  }

  /**
   * Runs everything that is due at `now`. What is set for `now` meanwhile waits for the next call.
   * @param onFault called with what one of them has thrown; the others run all the same
   */
  run(now: number, onFault: (fault: unknown, due: Due) => void): void {
    const dues: Due[] = [];
    for (let due = this.#heap.first; due !== undefined && due.rank <= now; due = this.#heap.first) {
      this.#heap.delete(due);
      dues.push(due);
    }
    if (dues.length > 1) dues.sort((a, b) => a.rank - b.rank || a.order - b.order);
    // One that was due may have been deleted, or set anew, by one before it; each looks whether it still matters.
    for (const due of dues) {
      if (due.place !== -1) continue;
      try {
        due.fallDue(now);
      } catch (fault) {
        onFault(fault, due);
      }
    }
  }

  clear(): void {
    this.#heap.clear();
  }
}

/** One timer for all that falls due; it never keeps the host alive. */
export class DueTimer {
  readonly #clock: Clock;
  readonly #dueTimes: DueTimes;
  readonly #onDue: () => void;
  #timer: Timer | undefined;
  #at = Infinity;

  /** @param onDue runs what is due */
  constructor(clock: Clock, dueTimes: DueTimes, onDue: () => void) {
    this.#clock = clock;
    this.#dueTimes = dueTimes;
    this.#onDue = onDue;
  }

  /** To be called when times may have been set. A timer that is too early is left: it looks, and sets the next. */
  set(): void {
    if (this.#dueTimes.next >= this.#at) return;
    this.#timer?.cancel();
    this.#at = this.#dueTimes.next;
    this.#timer = this.#clock.after(this.#at - this.#clock.now(), () => {
      this.#at = Infinity;
      this.#onDue();
    });
  }

  /** Takes the timer away when nothing is due, where it is not soon set again. */
  rest(): void {
    if (this.#dueTimes.next < Infinity || this.#at === -Infinity) return;
    this.#timer?.cancel();
    this.#at = Infinity;
  }

  /** Nothing falls due any more. */
  stop(): void {
    this.#dueTimes.clear();
    this.#timer?.cancel();
    this.#at = -Infinity;
  }
}

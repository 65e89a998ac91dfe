import type { Due, DueTimes } from '../../runtime/due-times.js';

/** Most lists without a caller that are kept. */
const KEPT_LISTS = 16;

/**
 * The deadlines of callers. Callers with the same timeout fall due in the order of their arrival, so one list for each timeout
 * is enough, and adding or removing a caller costs O(1).
 */
export class Deadlines<T extends Expiring> {
  readonly #dueTimes: DueTimes;
  readonly #onExpired: (expired: T) => void;
  readonly #lists = new Map<number, DeadlineList<T>>();

  constructor(dueTimes: DueTimes, onExpired: (expired: T) => void) {
    this.#dueTimes = dueTimes;
    this.#onExpired = onExpired;
  }

  /** @param timeout ms; those with the same one must be added in the order of their deadlines */
  add(item: T, timeout: number): void {
    let list = this.#lists.get(timeout);
    if (list === undefined) {
      list = new DeadlineList((at) => this.#look(timeout, at));
      this.#lists.set(timeout, list);
    }
    list.add(item);
    this.#dueTimes.noLaterThan(list, item.deadline);
  }

  delete(item: T, timeout: number): void {
    const list = this.#lists.get(timeout);
    list?.delete(item);
    // A few empty lists are kept for the next caller. A host that passes the rest of a deadline uses each timeout once, so
    // more are dropped.
    if (list === undefined || list.first !== undefined || this.#lists.size <= KEPT_LISTS) return;
    this.#drop(timeout, list);
  }

  /** May find none expired: the due time of a list is not changed when its first item is deleted. */
  #look(timeout: number, now: number): void {
    const list = this.#lists.get(timeout);
    if (list === undefined) return;
    try {
      for (let first = list.first; first !== undefined && first.deadline <= now; first = list.first) {
        list.delete(first);
        this.#onExpired(first);
      }
    } finally {
      // After a fault, too: the others still have their deadlines.
      if (list.first) this.#dueTimes.set(list, list.first.deadline);
      else this.#drop(timeout, list);
    }
  }

  #drop(timeout: number, list: DeadlineList<T>): void {
    if (this.#lists.get(timeout) === list) this.#lists.delete(timeout);
    this.#dueTimes.delete(list);
  }
}

/** Something with a deadline. Its neighbours are written by `Deadlines`. */
export interface Expiring {
  /** Clock time. */
  readonly deadline: number;
  sooner: Expiring | undefined;
  later: Expiring | undefined;
}

/** Items with the same timeout, in order of their deadlines. */
class DeadlineList<T extends Expiring> implements Due {
  rank = 0;
  place = -1;
  order = 0;
  readonly fallDue: (now: number) => void;
  first: T | undefined;
  #last: T | undefined;

  constructor(fallDue: (now: number) => void) {
    this.fallDue = fallDue;
  }

  add(item: T): void {
    item.sooner = this.#last;
    if (this.#last) this.#last.later = item;
    else this.first = item;
    this.#last = item;
  }

  /** Does nothing when the item is not in the list. */
  delete(item: T): void {
    const { sooner, later } = item;
    if (sooner === undefined && this.first !== item) return;
    if (sooner) sooner.later = later;
    else this.first = later as T | undefined;
    if (later) later.sooner = sooner;
    else this.#last = sooner as T | undefined;
    item.sooner = undefined;
    item.later = undefined;
  }
}

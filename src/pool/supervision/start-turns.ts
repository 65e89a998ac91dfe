import type { Clock } from '../../runtime/clock.js';
import { type Due, type DueTimes, newDue } from '../../runtime/due-times.js';
import type { PooledInstance } from '../instances/pooled-instance.js';

/** A turn ends after this time, in ms: a start that waits for a download must not delay the others. */
const LONGEST_TURN = 3_000;

/**
 * Limits how many starts are under way at once: starts that compete for the processors all become slow, and reach their
 * timeouts together. A start has its turn until it is ready, has failed or was ended, but not for longer than 3 s. The others
 * wait in a line, first come, first served.
 */
export class StartTurns {
  /** Most turns at once. */
  readonly limit: number;
  readonly #clock: Clock;
  readonly #dueTimes: DueTimes;
  /** The starts that have a turn, and what is due when that is over. */
  readonly #taken = new Map<PooledInstance, Due>();
  /** The starts that wait for a turn, in order of arrival. */
  readonly #line = new Set<PooledInstance>();

  constructor(limit: number, clock: Clock, dueTimes: DueTimes) {
    this.limit = limit;
    this.#clock = clock;
    this.#dueTimes = dueTimes;
  }

  /** Number of turns that are taken. */
  get taken(): number {
    return this.#taken.size;
  }

  /** Number of starts that wait for a turn. */
  get waiting(): number {
    return this.#line.size;
  }

  /** Whether there is a turn for one that waits. */
  get isFree(): boolean {
    return this.#line.size > 0 && this.#taken.size < this.limit;
  }

  isWaiting(instance: PooledInstance): boolean {
    return this.#line.has(instance);
  }

  /** Gives a start its turn; or a place in the line, and returns false. */
  take(instance: PooledInstance): boolean {
    const isTurn = this.#line.size === 0 && this.#taken.size < this.limit;
    if (isTurn) this.#begin(instance);
    else this.#line.add(instance);
    return isTurn;
  }

  /** Gives a start a place in the line. */
  wait(instance: PooledInstance): void {
    this.#line.add(instance);
  }

  /** Gives the first of the line its turn, if one is free. */
  next(): PooledInstance | undefined {
    if (!this.isFree) return undefined;
    const [first] = this.#line;
    if (first === undefined) return undefined;
    this.#line.delete(first);
    this.#begin(first);
    return first;
  }

  /** A start is over, or is not made any more. */
  giveBack(instance: PooledInstance): void {
    this.#line.delete(instance);
    const over = this.#taken.get(instance);
    if (over === undefined) return;
    this.#taken.delete(instance);
    this.#dueTimes.delete(over);
  }

  /** Ends the starts that wait for their turn, and have not begun. A successor goes on: it takes the place of another. */
  endNew(): void {
    for (const instance of [...this.#line]) if (!instance.hasPredecessor) void instance.stop('unwanted');
  }

  #begin(instance: PooledInstance): void {
    const over = newDue(() => this.#taken.delete(instance), instance);
    this.#taken.set(instance, over);
    // Without a limit no start waits for the end of a turn.
    if (this.limit < Infinity) this.#dueTimes.set(over, this.#clock.now() + LONGEST_TURN);
  }
}

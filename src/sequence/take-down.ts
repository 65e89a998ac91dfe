import type { StopMode } from '../config/sequence-options.js';
import { levelsOf } from '../runtime/graph.js';

/** Of the time of a step this part is kept for what must be hurried, at most so many ms. */
const RESERVE = { part: 0.25, most: 5_000 } as const;
/** Where no time is left, a step gets this to end at once, ms. */
const LEAST = 100;

/** When a step that begins to stop must hurry, and when it is given up. Clock times, in ms. */
export interface StopTimes {
  readonly hurryAt: number;
  readonly giveUpAt: number;
}

/** Steps that are stopped together, in reverse order, within one time. */
export class TakeDown<Step> {
  readonly mode: StopMode;
  readonly #deadline: number;
  /** How many steps end one after the other from this one on, itself included. */
  readonly #depths: ReadonlyMap<Step, number>;

  /**
   * @param needs what a step depends on: those steps end after it
   * @param deadline clock time, in ms
   */
  constructor(mode: StopMode, deadline: number, steps: readonly Step[], needs: (step: Step) => readonly Step[]) {
    this.mode = mode;
    this.#deadline = deadline;
    this.#depths = mode === 'emergency' ? new Map() : levelsOf(steps, needs);
  }

  /**
   * The time that is left is divided by the depth that is left. So a step that uses its whole share leaves their shares to those
   * below it, and what a fast one does not use is theirs, too.
   */
  times(step: Step, now: number): StopTimes {
    const left = this.#deadline - now;
    const share = left > 0 ? left / (this.#depths.get(step) ?? 1) : LEAST;
    const reserve = Math.min(share * RESERVE.part, RESERVE.most);
    return { hurryAt: left > 0 ? now + share - reserve : now, giveUpAt: now + share };
  }
}

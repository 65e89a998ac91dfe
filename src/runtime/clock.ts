/** The source of time for all policies. Tests replace it by a clock that they advance themselves. */
export interface Clock {
  /** Milliseconds since a fixed moment; monotonic. */
  now(): number;
  /** Runs `task` once after `delay` milliseconds. Only a `holding` timer keeps the host alive. */
  after(delay: number, task: () => void, hold?: 'holding'): Timer;
}

/** A timer that was set by a {@link Clock}. */
export interface Timer {
  /** Does nothing when the task has already run. */
  cancel(): void;
}

/** The same clock. @param run runs each task, for example where a fault in it is handled */
export function clockWithin(clock: Clock, run: (task: () => void) => void): Clock {
  return {
    now: () => clock.now(),
    after: (delay, task, hold) => clock.after(delay, () => run(task), hold),
  };
}

/** Limits a delay to the longest that a Node timer can have, about 24 days. A longer one would fire at once. */
export function timerDelay(delay: number): number {
  return Math.min(Math.max(delay, 0), 2 ** 31 - 1);
}

/** The time of this turn of the event loop; undefined until it is read. */
let turn: number | undefined;

function endTurn(): void {
  turn = undefined;
}

/**
 * The time of the host. It is read once per turn of the event loop, as Node does for its timers: one reading costs a tenth
 * of a warm `getServer()`, which needs the time twice.
 */
export const systemClock: Clock = {
  now() {
    if (turn === undefined) {
      turn = performance.now();
      setImmediate(endTurn);
    }
    return turn;
  },
  after(delay, task, hold) {
    const timer = setTimeout(task, timerDelay(delay));
    if (hold !== 'holding') timer.unref();
    return { cancel: () => clearTimeout(timer) };
  },
};

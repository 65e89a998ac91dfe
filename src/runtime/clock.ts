/** A timer that can be called off. */
export interface Timer {
  cancel(): void;
}

/** Time as the policies see it, so that tests can turn it by hand. */
export interface Clock {
  /** Milliseconds since some fixed moment; never goes back. */
  now(): number;
  /** Runs `task` once after `delay` ms. Only a `holding` timer keeps the host alive. */
  after(delay: number, task: () => void, hold?: 'holding'): Timer;
}

/** A delay that a Node timer takes: one that is longer than 24 days would fire at once, with a warning. */
export function timerDelay(delay: number): number {
  return Math.min(Math.max(delay, 0), 2 ** 31 - 1);
}

/** The time of this turn of the event loop, once somebody has asked for it. */
let turn: number | undefined;

function endTurn(): void {
  turn = undefined;
}

/**
 * The time of the host. It stands still within one turn of the event loop, as it does for the timers of Node: to read it
 * costs as much as a tenth of a warm `getServer()`, which would ask for it twice.
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

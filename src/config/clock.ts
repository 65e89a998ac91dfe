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

export const systemClock: Clock = {
  now: () => performance.now(),
  after(delay, task, hold) {
    const timer = setTimeout(task, timerDelay(delay));
    if (hold !== 'holding') timer.unref();
    return { cancel: () => clearTimeout(timer) };
  },
};

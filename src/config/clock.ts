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

/** Longest delay that a Node timer takes; a longer one would fire at once. */
const MAX_DELAY = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => performance.now(),
  after(delay, task, hold) {
    const timer = setTimeout(task, Math.min(Math.max(delay, 0), MAX_DELAY));
    if (hold !== 'holding') timer.unref();
    return { cancel: () => clearTimeout(timer) };
  },
};

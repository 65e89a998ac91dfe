import type { ResolvedRequirements } from '../../config/requirement-options.js';
import type { ServerNames, UnmetRequirement } from '../../errors.js';
import type { Clock } from '../../runtime/clock.js';
import type { HeadroomReader } from './host-headroom.js';
import { isAsked, requirementsUnmet, unmetIn } from './unmet.js';

/** Ms between two looks, at first and at most. A look takes less than a millisecond. */
const FIRST_PAUSE = 250;
const LONGEST_PAUSE = 5_000;

/** The pause after one of this length; the first one without. */
export function nextPause(last = 0): number {
  return Math.min(Math.max(last * 2, FIRST_PAUSE), LONGEST_PAUSE);
}

export interface PreflightOptions {
  readonly requires: ResolvedRequirements;
  readonly onUnmet: 'wait' | 'fail';
  readonly host: HeadroomReader;
  readonly clock: Clock;
  /** Ends the wait. */
  readonly signal: AbortSignal;
  /** What is to be started, for the error. */
  readonly about: ServerNames;
  /** Called after each look that finds something unmet. Must not throw. */
  onWaiting(unmet: readonly UnmetRequirement[]): void;
}

/**
 * Resolves when the host has what is required. It looks again after pauses that grow to 5 s; it does not keep the host alive.
 * @throws PoolError `REQUIREMENTS_UNMET` with `fail`; the reason of the signal when that is aborted
 */
export async function awaitRequirements(options: PreflightOptions): Promise<void> {
  const { requires, onUnmet, host, clock, signal, about, onWaiting } = options;
  if (!isAsked(requires)) return;
  for (let pause = nextPause(); ; pause = nextPause(pause)) {
    signal.throwIfAborted();
    const unmet = unmetIn(requires, await unlessAborted(host.read(requires), signal));
    if (unmet.length === 0) return;
    if (onUnmet === 'fail') throw requirementsUnmet(about, unmet);
    onWaiting(unmet);
    await pauseFor(clock, pause, signal);
  }
}

/** The same result, or the reason of the signal when that is aborted first: a file system may take seconds to answer. */
function unlessAborted<T>(result: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    signal.addEventListener('abort', abort);
    result.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}

/** Resolves when the time is over, or the signal is aborted. */
function pauseFor(clock: Clock, delay: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      timer.cancel();
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = clock.after(delay, end);
    signal.addEventListener('abort', end);
    // Its handler may have aborted it.
    if (signal.aborted) end();
  });
}

import type { HealthContext, OwnCheck } from '../config/health-options.js';
import { addressAnswer } from './address-answer.js';

/** How a server is asked. */
export interface CheckWay {
  /** Whether it needs no check when it has sent a message since the last one. */
  readonly countsMessages: boolean;
  /** Whether it asks nothing, and only waits for a message that the server owes to its client. */
  readonly isObserved: boolean;
  /** Whether there is something to wait for now. False for a server that is only observed, and owes no answer. */
  isDue(): boolean;
  /**
   * Asks. Resolves with how it has answered, in words; rejects with why the check is missed, at the latest when `signal` is aborted.
   */
  ask(signal: AbortSignal): Promise<string>;
}

/** The way of a check by the means of the host. */
export function wayOf(check: OwnCheck, context: Omit<HealthContext, 'signal'>): CheckWay {
  const ask = typeof check === 'function' ? byFunction(check, context) : byAddress(check.url);
  return { countsMessages: false, isObserved: false, isDue: () => true, ask };
}

function byFunction(
  check: (server: HealthContext) => unknown,
  context: Omit<HealthContext, 'signal'>,
): CheckWay['ask'] {
  return (signal) => raced(signal, Promise.resolve({ ...context, signal }).then(check), 'its check has passed');
}

function byAddress(url: string): CheckWay['ask'] {
  return (signal) => addressAnswer(url, signal);
}

/** A function of the host may ignore its signal. */
function raced(signal: AbortSignal, checking: Promise<unknown>, how: string): Promise<string> {
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    checking.then(() => resolve(how), reject);
  });
}

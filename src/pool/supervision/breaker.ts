import {
  afterFailure,
  type FailureHistory,
  forgottenAt,
  isForgotten,
  NO_FAILURES,
  type RestartPolicy,
  type Verdict,
} from './restart-policy.js';

/**
 * `closed`: the server is started when needed. `open`: it failed too often; no start is made until the cooldown is over.
 * `half-open`: one start, the probe, is on the way; its result decides.
 */
export type BreakerState = 'closed' | 'open' | 'half-open';

type BreakerEvent =
  /** There were more failures within the window than the policy allows. */
  | 'trip'
  /** The cooldown is over, and a start is asked for. */
  | 'cooled'
  /** An instance became usable. */
  | 'succeeded'
  /** An instance failed. */
  | 'failed'
  /** The probe was ended on purpose before it had a result. */
  | 'abandoned';

/**
 * States × events. An event that is not listed changes nothing: an instance that is older than the open breaker neither closes
 * it nor prolongs the cooldown.
 */
export const TRANSITIONS: Readonly<Record<BreakerState, Partial<Record<BreakerEvent, BreakerState>>>> = {
  closed: { trip: 'open' },
  open: { cooled: 'half-open' },
  'half-open': { succeeded: 'closed', failed: 'open', abandoned: 'open' },
};

/** What to do about a failure: restart after `delay` ms, or not. `opened`: whether this failure opened the breaker. */
export type BreakerVerdict =
  | Extract<Verdict, { action: 'restart' }>
  | { readonly action: 'open'; readonly opened: boolean };

/** Stops the restarts of a server that fails too often. One for each server and tenant. */
export class Breaker {
  /** May be replaced when the definition is changed; a cooldown that has begun keeps its length. */
  policy: RestartPolicy;
  readonly #random: () => number;
  #state: BreakerState = 'closed';
  #history: FailureHistory = NO_FAILURES;
  #retryAt = 0;

  /** @param random for the jitter of delays: 0 ≤ n < 1. Default: `Math.random` */
  constructor(policy: RestartPolicy, random: () => number = Math.random) {
    this.policy = policy;
    this.#random = random;
  }

  /** An open breaker stays open after its cooldown, until a start is asked for. */
  get state(): BreakerState {
    return this.#state;
  }

  /** Clock time at which an open breaker allows a probe; has no meaning in other states. */
  get retryAt(): number {
    return this.#retryAt;
  }

  /**
   * An instance could not be started, or ended unexpectedly. In `half-open` it must be the probe.
   *
   * @param now Clock time in ms.
   * @param uptime For how many ms the instance had been usable; 0 if it never was.
   */
  failed(now: number, uptime: number): BreakerVerdict {
    if (this.#state === 'open') return { action: 'open', opened: false };
    const { history, verdict } = afterFailure(this.#history, this.policy, now, uptime, this.#random);
    this.#history = history;
    // A failed probe opens the breaker, even when no other failure is within the window any more.
    const probeFailed = this.#take('failed');
    if (!probeFailed && verdict.action === 'restart') return verdict;
    if (!probeFailed) this.#take('trip');
    this.#retryAt = now + this.policy.cooldown;
    return { action: 'open', opened: true };
  }

  /**
   * Whether a start may be made now. `probe`: yes, and it is the one probe. All others are refused until `ready()`, `failed()`
   * or `probeAbandoned()` is called for it, so exactly one of these must follow.
   *
   * @param now Clock time in ms.
   */
  admit(now: number): 'yes' | 'probe' | 'no' {
    if (this.#state === 'closed') return 'yes';
    return now >= this.#retryAt && this.#take('cooled') ? 'probe' : 'no';
  }

  /**
   * An instance became usable. True when that closed the breaker. Failures within the window still count, so a failure soon
   * after that opens the breaker again at once.
   */
  ready(): boolean {
    return this.#take('succeeded');
  }

  /**
   * The probe was ended on purpose before it had a result: the next start is the probe, without another cooldown.
   *
   * @param now Clock time in ms.
   */
  probeAbandoned(now: number): void {
    if (this.#take('abandoned')) this.#retryAt = now;
  }

  /**
   * Number of failures that count.
   *
   * @param now Clock time in ms.
   */
  failuresWithin(now: number): number {
    return this.#history.failures.filter((at) => now - at <= this.policy.window).length;
  }

  /**
   * Whether the breaker is closed and no failure counts any more, so that it can be dropped.
   *
   * @param now Clock time in ms.
   */
  isPristine(now: number): boolean {
    return this.#state === 'closed' && isForgotten(this.#history, this.policy, now);
  }

  /** Clock time until which its failures matter; `Infinity` while it waits for its probe, or is open until it is reset. */
  get keptUntil(): number {
    const { window, cooldown } = this.policy;
    if (this.#state === 'closed') return forgottenAt(this.#history, this.policy);
    return this.#state === 'half-open' ? Infinity : this.#retryAt + window + cooldown;
  }

  /** The one place where the state changes. False when the event does not apply in the current state. */
  #take(event: BreakerEvent): boolean {
    const next = TRANSITIONS[this.#state][event];
    if (next === undefined) return false;
    this.#state = next;
    return true;
  }
}

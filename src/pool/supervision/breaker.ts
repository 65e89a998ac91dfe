import {
  afterFailure,
  type FailureHistory,
  isForgotten,
  NO_FAILURES,
  type RestartPolicy,
  type Verdict,
} from './restart-policy.js';

/**
 * `closed`: servers are started. `open`: it failed too often, no start is made until the cooldown is over. `half-open`: one
 * start, the probe, is on its way and decides.
 */
export type BreakerState = 'closed' | 'open' | 'half-open';

type BreakerEvent =
  /** More failures within the window than the policy tolerates. */
  | 'trip'
  /** The cooldown is over, and somebody wants a server. */
  | 'cooled'
  /** An instance became usable. */
  | 'succeeded'
  /** An instance failed. */
  | 'failed'
  /** The probe was ended before it showed anything. */
  | 'abandoned';

/**
 * States × events. What is not listed does not happen: an instance from before the breaker opened neither closes it nor
 * makes it refuse for longer.
 */
const TRANSITIONS: Readonly<Record<BreakerState, Partial<Record<BreakerEvent, BreakerState>>>> = {
  closed: { trip: 'open' },
  open: { cooled: 'half-open' },
  'half-open': { succeeded: 'closed', failed: 'open', abandoned: 'open' },
};

/** What to do about a failure: restart after `delay` ms, or not. `told`: whether this one opened the breaker, just now. */
export type BreakerVerdict =
  | Extract<Verdict, { action: 'restart' }>
  | { readonly action: 'open'; readonly opened: boolean };

/** Keeps a server that fails again and again from being started again and again. One per definition (and tenant). */
export class Breaker {
  /** May be replaced when the definition is changed; a cooldown that has begun keeps its length. */
  policy: RestartPolicy;
  readonly #random: () => number;
  #state: BreakerState = 'closed';
  #history: FailureHistory = NO_FAILURES;
  #retryAt = 0;

  /** @param random For the jitter of delays: from 0 up to, and without, 1. Default `Math.random`. */
  constructor(policy: RestartPolicy, random: () => number = Math.random) {
    this.policy = policy;
    this.#random = random;
  }

  /** An open breaker stays open after its cooldown, until somebody asks for a start. */
  get state(): BreakerState {
    return this.#state;
  }

  /** Clock time in ms at which an open breaker lets a probe through; means nothing in other states. */
  get retryAt(): number {
    return this.#retryAt;
  }

  /**
   * An instance failed: could not be started, or ended unasked. A failure in `half-open` is taken for that of the probe.
   *
   * @param now Clock time in ms.
   * @param uptime For how many ms the instance had been usable; 0 if it never was.
   */
  failed(now: number, uptime: number): BreakerVerdict {
    if (this.#state === 'open') return { action: 'open', opened: false };
    const { history, verdict } = afterFailure(this.#history, this.policy, now, uptime, this.#random);
    this.#history = history;
    // A failed probe is enough, even when the window holds no other failure any more.
    const probeFailed = this.#take('failed');
    if (!probeFailed && verdict.action === 'restart') return verdict;
    if (!probeFailed) this.#take('trip');
    this.#retryAt = now + this.policy.cooldown;
    return { action: 'open', opened: true };
  }

  /**
   * May a start be made now? `probe`: yes, and this start is the one probe; every other is refused until it was `ready()`,
   * `failed()` or abandoned, so exactly one of these must follow.
   *
   * @param now Clock time in ms.
   */
  admit(now: number): 'yes' | 'probe' | 'no' {
    if (this.#state === 'closed') return 'yes';
    return now >= this.#retryAt && this.#take('cooled') ? 'probe' : 'no';
  }

  /**
   * An instance became usable; true when that closed the breaker. What failed within the window still counts then: the
   * next failure soon after opens the breaker again at once.
   */
  ready(): boolean {
    return this.#take('succeeded');
  }

  /**
   * The probe was ended before it showed anything: the next start is the probe instead, without another cooldown.
   *
   * @param now Clock time in ms.
   */
  probeAbandoned(now: number): void {
    if (this.#take('abandoned')) this.#retryAt = now;
  }

  /**
   * Nothing is remembered: the breaker can be forgotten. Never so while it is open or half-open.
   *
   * @param now Clock time in ms.
   */
  isPristine(now: number): boolean {
    return this.#state === 'closed' && isForgotten(this.#history, this.policy, now);
  }

  /** The one place where the state changes; false when `event` does not apply in it. */
  #take(event: BreakerEvent): boolean {
    const next = TRANSITIONS[this.#state][event];
    if (next === undefined) return false;
    this.#state = next;
    return true;
  }
}

import type { ResolvedLimits } from '../../config/limit-options.js';
import type { ResolvedRequirements } from '../../config/requirement-options.js';
import type { PoolError, ServerNames, UnmetRequirement } from '../../errors.js';
import { nextPause } from '../../sequence/preflight/await-requirements.js';
import { isAsked, requirementsUnmet } from '../../sequence/preflight/unmet.js';

/** Whether a host has what is required. `unknown`: it must be looked at first. */
export type HostState = 'met' | 'unmet' | 'unknown';

/** How long a look counts, ms: starts that come at the same time need one. No two looks come closer. */
const FRESH = 250;
/** How long a host counts as lacking something that is not looked at any more, since no start waits, ms. */
const FORGOTTEN = 10_000;

/**
 * Whether this host has what `limits.requires` asks for, as it was last looked at. A start that has to know asks for a look;
 * `PreflightLooks` makes it. It is fed with clock times.
 */
export class StartPreflight {
  readonly requires: ResolvedRequirements;
  readonly #fails: boolean;
  readonly #isAsked: boolean;
  #unmet: readonly UnmetRequirement[] = [];
  #lookedAt = -Infinity;
  #pause: number | undefined;
  #isLooking = false;
  #isWanted = false;

  constructor({ requires, onUnmet }: Pick<ResolvedLimits, 'requires' | 'onUnmet'>) {
    this.requires = requires;
    this.#fails = onUnmet === 'fail';
    this.#isAsked = isAsked(requires);
  }

  /** What was missing in the last look. */
  get unmet(): readonly UnmetRequirement[] {
    return this.#unmet;
  }

  get isLooking(): boolean {
    return this.#isLooking;
  }

  /** When those that wait look again, in clock time. */
  get nextLook(): number {
    return this.#lookedAt + (this.#pause ?? FRESH);
  }

  stateAt(now: number): HostState {
    if (!this.#isAsked) return 'met';
    const age = now - this.#lookedAt;
    if (this.#unmet.length === 0) return age < FRESH ? 'met' : 'unknown';
    // One that waits looks again in time; one that fails must not fail because of an old figure.
    return age < (this.#fails ? FRESH : FORGOTTEN) ? 'unmet' : 'unknown';
  }

  /** Whether a start may be made now; if not, it is asked for. */
  allows(now: number): boolean {
    const isMet = this.stateAt(now) === 'met';
    if (!isMet) this.ask();
    return isMet;
  }

  /** A start waits for the host. */
  ask(): void {
    this.#isWanted = this.#isAsked;
  }

  /** Whether a look was asked for since the last call. */
  takeWish(): boolean {
    const isWanted = this.#isWanted;
    this.#isWanted = false;
    return isWanted;
  }

  /** Begins a look, unless one is under way or has just been made. */
  begin(now: number): boolean {
    if (this.#isLooking || now - this.#lookedAt < FRESH) return false;
    this.#isLooking = true;
    return true;
  }

  /** The look is over. */
  looked(unmet: readonly UnmetRequirement[], now: number): void {
    this.#isLooking = false;
    this.#lookedAt = now;
    this.#unmet = unmet;
    this.#pause = unmet.length === 0 ? undefined : nextPause(this.#pause);
  }

  /** The error of a start that needs more than there is; undefined where it waits. */
  refusal(server: ServerNames): PoolError | undefined {
    return this.#fails ? requirementsUnmet(server, this.#unmet) : undefined;
  }
}

import type { ResolvedRequirements } from '../../config/requirement-options.js';
import type { ServerNames } from '../../errors.js';
import type { Clock } from '../../runtime/clock.js';
import { type Due, type DueTimes, newDue } from '../../runtime/due-times.js';
import type { HeadroomReader } from '../../sequence/preflight/host-headroom.js';
import { type Headroom, unmetIn } from '../../sequence/preflight/unmet.js';
import type { Operations } from '../../server/instance-context.js';
import type { Fleet } from '../instances/fleet.js';
import type { LeaseEvents } from '../leases/lease-events.js';
import type { StartTurns } from '../supervision/start-turns.js';
import type { AcquireQueue } from './acquire-queue.js';
import type { Matcher } from './matcher.js';

export interface PreflightLooksDeps {
  readonly clock: Clock;
  readonly dueTimes: DueTimes;
  readonly fleet: Fleet;
  readonly headroom: HeadroomReader;
  readonly leaseEvents: LeaseEvents;
  readonly matcher: Matcher;
  readonly queue: AcquireQueue;
  readonly turns: StartTurns;
}

/**
 * Looks at the host for the starts that wait for what `limits.requires` asks for. It looks again as long as one waits; where none
 * does, no timer is set.
 */
export class PreflightLooks {
  readonly #operations: Operations;
  readonly #deps: PreflightLooksDeps;
  readonly #onFault: (fault: unknown) => void;
  /** Does nothing itself: after each operation the starts that wait ask again. */
  readonly #again: Due = newDue(() => {});
  #look: Promise<void> = Promise.resolve();

  /** @param onFault called with a fault of this library: no caller is there to get it */
  constructor(operations: Operations, deps: PreflightLooksDeps, onFault: (fault: unknown) => void) {
    this.#operations = operations;
    this.#deps = deps;
    this.#onFault = onFault;
  }

  /** To be called at the end of each operation. */
  lookIfAsked(): void {
    const { clock, dueTimes, fleet, turns } = this.#deps;
    const { preflight } = fleet.gate;
    // They were allowed some time ago.
    if (turns.waiting > 0) preflight.ask();
    if (!preflight.takeWish() || !fleet.isOpen) return;
    if (preflight.begin(clock.now())) this.#look = this.#lookNow().catch(this.#onFault);
    else if (!preflight.isLooking) dueTimes.noLaterThan(this.#again, preflight.nextLook);
  }

  /** Whether a start may be made now. */
  get isMet(): boolean {
    const { clock, fleet } = this.#deps;
    return fleet.gate.preflight.stateAt(clock.now()) === 'met';
  }

  /**
   * A look for a start that no caller waits for.
   * @throws PoolError `REQUIREMENTS_UNMET` with `onUnmet: 'fail'`
   */
  async lookFor(server: ServerNames): Promise<void> {
    const { preflight } = this.#deps.fleet.gate;
    this.#operations.run(() => preflight.ask());
    await this.#look;
    const error = this.isMet ? undefined : preflight.refusal(server);
    if (error) throw error;
  }

  async #lookNow(): Promise<void> {
    const { clock, fleet, leaseEvents, matcher, queue, turns } = this.#deps;
    const { preflight } = fleet.gate;
    const wasMet = preflight.unmet.length === 0;
    const unmet = unmetIn(preflight.requires, await this.#read(preflight.requires));
    this.#operations.run(() => {
      preflight.looked(unmet, clock.now());
      if (unmet.length > 0) turns.endNew();
    });
    const [first] = unmet;
    if (first === undefined || !wasMet) return;
    const held = queue.list().filter((waiter) => matcher.limitOf(waiter) === 'requires');
    const names = new Set(held.map(({ name }) => name));
    this.#operations.run(() => {
      for (const name of names) leaseEvents.limitReached({ name, limit: 'requires', value: first.required });
    });
  }

  /** Where the reader of the host fails, nothing shows that there is enough. */
  async #read(requires: ResolvedRequirements): Promise<Headroom> {
    try {
      return await this.#deps.headroom.read(requires);
    } catch {
      return {};
    }
  }
}

import { namesOf, PoolError, shownName } from '../../errors.js';
import type { CleanupReport } from '../../process/cleanup-queue.js';
import type { Clock } from '../../runtime/clock.js';
import { type DueTimes, newDue } from '../../runtime/due-times.js';
import type { ShutdownReport } from '../events.js';
import type { Fleet } from '../instances/fleet.js';
import type { PooledInstance } from '../instances/pooled-instance.js';
import type { Lease } from '../leases/lease.js';
import type { LeaseManager } from '../leases/lease-manager.js';

/** How often a drain checks whether the requests are answered, in ms. */
const DRAIN_POLL = 10;

export interface ShutdownDeps {
  readonly clock: Clock;
  readonly dueTimes: DueTimes;
  readonly fleet: Fleet;
  readonly leases: LeaseManager;
}

/** Ends all trees of a pool, wave after wave. `hurry()` turns it into an emergency at any time. */
export class Shutdown {
  readonly #clock: Clock;
  readonly #dueTimes: DueTimes;
  readonly #fleet: Fleet;
  readonly #leases: LeaseManager;
  #mode: ShutdownReport['mode'] = 'graceful';

  constructor({ clock, dueTimes, fleet, leases }: ShutdownDeps) {
    this.#clock = clock;
    this.#dueTimes = dueTimes;
    this.#fleet = fleet;
    this.#leases = leases;
  }

  /** To be called within an operation. Resolves when every tree is proven dead, or was given up by the cleanup queue. */
  async run(options: {
    mode: ShutdownReport['mode'];
    timeout: number;
    drainTimeout: number;
  }): Promise<Omit<ShutdownReport, 'rejected'>> {
    const started = this.#clock.now();
    const held = this.#leases.size;
    const waves = shutdownWaves(this.#fleet, this.#leases);
    if (options.mode === 'emergency') this.hurry();
    const late = newDue(() => this.hurry());
    this.#dueTimes.set(late, started + options.timeout);
    const reports: CleanupReport[] = [];
    for (const wave of waves) {
      const ends = wave.map(async ({ instance, leases }) => {
        await this.#drain(instance, leases, started + options.drainTimeout);
        return this.#end(instance);
      });
      for (const report of await Promise.all(ends)) if (report) reports.push(report);
    }
    this.#dueTimes.delete(late);
    return {
      mode: this.#mode,
      duration: Math.round(this.#clock.now() - started),
      leases: held,
      servers: reports,
      survivors: reports.flatMap(({ name, survivors }) => survivors.map((survivor) => ({ name, ...survivor }))),
    };
  }

  /** Kills everything at once, and skips what a graceful shutdown still waits for. */
  hurry(): void {
    this.#mode = 'emergency';
    // Kills all trees before the cleanup queue, which ends only a few at a time.
    for (const instance of this.#fleet.instances()) instance.killNow();
    for (const lease of this.#leases.list()) lease.instance.remember();
    for (const lease of this.#leases.list()) lease.end({ asked: false, error: () => closedUnder(lease) });
    for (const instance of [...this.#fleet.instances()]) void instance.stop('shutdown', 'emergency');
  }

  async #end(instance: PooledInstance): Promise<CleanupReport | undefined> {
    if (instance.state === 'quarantined') return instance.recheck();
    return instance.stop('shutdown', this.#mode);
  }

  /** Waits until the requests in flight are answered or the time is over, then ends the leases. */
  async #drain(instance: PooledInstance, leases: readonly Lease[], until: number): Promise<void> {
    const clock = this.#clock;
    while (isBusy(instance, leases) && this.#mode === 'graceful' && clock.now() < until) {
      await new Promise<void>((resolve) => void clock.after(Math.min(DRAIN_POLL, until - clock.now()), resolve));
    }
    if (instance.leases > 0) instance.remember();
    for (const lease of leases) lease.end({ asked: false, error: () => closedUnder(lease) });
  }
}

/** An instance that ends in a shutdown, with the leases that end with it. */
export interface ShutdownEnd {
  readonly instance: PooledInstance;
  readonly leases: readonly Lease[];
}

/** All instances, in waves: those of one wave end side by side, and a wave begins when the one before it has ended. */
export function shutdownWaves(fleet: Fleet, leases: LeaseManager): readonly (readonly ShutdownEnd[])[] {
  return [[...fleet.instances()].map((instance) => ({ instance, leases: leases.of(instance) }))];
}

/** Whether requests are in flight: a graceful shutdown waits for them. */
export function isBusy({ openRequests }: PooledInstance, leases: readonly Lease[]): boolean {
  return openRequests > 0 || leases.some((lease) => lease.openRequests > 0);
}

function closedUnder({ id, instance }: Lease): PoolError {
  return new PoolError(
    'POOL_CLOSED',
    `the pool was shut down while the lease ${id} on server '${shownName(instance)}' was held; create a new MCPServerPool to go on`,
    {
      ...namesOf(instance),
      leaseId: id,
    },
  );
}

import { PoolError } from '../errors.js';
import type { CleanupReport } from '../process/cleanup-queue.js';
import type { Clock } from '../runtime/clock.js';
import type { ServerInstance } from '../server/server-instance.js';
import type { Fleet } from './fleet.js';
import type { Lease } from './lease.js';
import type { ShutdownReport } from './pool-events.js';

/** How often a draining lease is asked whether its requests are answered, ms. */
const DRAIN_POLL = 10;

/** The end of all trees of a pool. `hurry()` turns it into an emergency at any time. */
export class Shutdown {
  readonly #clock: Clock;
  readonly #fleet: Fleet;
  readonly #leases: ReadonlyMap<number, Lease>;
  #mode: ShutdownReport['mode'] = 'graceful';

  constructor(clock: Clock, fleet: Fleet, leases: ReadonlyMap<number, Lease>) {
    this.#clock = clock;
    this.#fleet = fleet;
    this.#leases = leases;
  }

  /** Resolves when every tree is proven dead, or given up by the cleanup queue. */
  async run(options: {
    mode: ShutdownReport['mode'];
    timeout: number;
    drainTimeout: number;
  }): Promise<Omit<ShutdownReport, 'rejected'>> {
    const started = this.#clock.now();
    const held = this.#leases.size;
    const ends = shutdownEnds(this.#fleet, this.#leases);
    if (options.mode === 'emergency') this.hurry();
    const timer = this.#clock.after(options.timeout, () => this.hurry());
    const reports = await Promise.all(
      [...ends].map(async ([instance, leases]) => {
        await this.#drain(instance, leases, started + options.drainTimeout);
        return this.#end(instance);
      }),
    );
    timer.cancel();
    const servers = reports.filter((report) => report !== undefined);
    return {
      mode: this.#mode,
      duration: Math.round(this.#clock.now() - started),
      leases: held,
      servers,
      survivors: servers.flatMap(({ name, survivors }) => survivors.map((survivor) => ({ name, ...survivor }))),
    };
  }

  /** From now on everything is killed at once. */
  hurry(): void {
    this.#mode = 'emergency';
    for (const lease of [...this.#leases.values()]) lease.end({ asked: false, error: () => closedUnder(lease) });
    for (const instance of this.#fleet.instances()) {
      // Before the queue has room for it: five at once is a courtesy of graceful ends.
      instance.killNow();
      void instance.stop('shutdown', 'emergency');
    }
  }

  async #end(instance: ServerInstance): Promise<CleanupReport | undefined> {
    if (instance.state === 'quarantined') return instance.recheck();
    return instance.stop('shutdown', this.#mode);
  }

  /** Lets requests in flight finish, then ends the leases. */
  async #drain(instance: ServerInstance, leases: readonly Lease[], until: number): Promise<void> {
    const clock = this.#clock;
    while (isBusy(instance, leases) && this.#mode === 'graceful' && clock.now() < until) {
      await new Promise<void>((resolve) => void clock.after(Math.min(DRAIN_POLL, until - clock.now()), resolve));
    }
    for (const lease of leases) lease.end({ asked: false, error: () => closedUnder(lease) });
  }
}

/** Who ends in a shutdown, in the order in which that begins, each with the leases that end with it. */
export function shutdownEnds(
  fleet: Fleet,
  leases: ReadonlyMap<number, Lease>,
): ReadonlyMap<ServerInstance, readonly Lease[]> {
  const ends = new Map<ServerInstance, Lease[]>([...fleet.instances()].map((instance) => [instance, []]));
  for (const lease of leases.values()) ends.get(lease.instance)?.push(lease);
  return ends;
}

/** Whether requests are in flight, for which a graceful shutdown waits. */
export function isBusy({ openRequests }: ServerInstance, leases: readonly Lease[]): boolean {
  return openRequests > 0 || leases.some((lease) => lease.openRequests > 0);
}

function closedUnder({ id, name }: Lease): PoolError {
  return new PoolError('POOL_CLOSED', `the pool was shut down under the lease ${id} on server '${name}'`, {
    name,
    leaseId: id,
  });
}

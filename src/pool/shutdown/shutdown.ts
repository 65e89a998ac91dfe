import { namesOf, PoolError, type PoolErrorCode, shownName } from '../../errors.js';
import type { CleanupReport } from '../../process/cleanup-queue.js';
import type { Clock } from '../../runtime/clock.js';
import { type DueTimes, newDue } from '../../runtime/due-times.js';
import type { EndReason } from '../../server/end-reason.js';
import type { EndReport } from '../events.js';
import type { Fleet } from '../instances/fleet.js';
import type { PooledInstance } from '../instances/pooled-instance.js';
import type { Lease } from '../leases/lease.js';
import type { LeaseManager } from '../leases/lease-manager.js';

/** The pool ends, and everything with it. */
export const SHUTDOWN = causeOf(
  'shutdown',
  'POOL_CLOSED',
  'the pool was shut down',
  'create a new MCPServerPool to go on',
);
/** The host ends everything, and goes on with the pool. */
export const END_ALL = causeOf('end-all', 'SERVER_STOPPED', 'endAll() was called', 'get another with getServer()');

/** How often a drain checks whether the requests are answered, in ms. */
const DRAIN_POLL = 10;

export interface ShutdownDeps {
  readonly clock: Clock;
  readonly dueTimes: DueTimes;
  readonly fleet: Fleet;
  readonly leases: LeaseManager;
}

/** Why all trees of a pool are ended, and the error of the leases that end with them. */
export interface ShutdownCause {
  readonly reason: EndReason;
  error(lease: Lease): PoolError;
}

/**
 * Ends all trees that a pool has now, wave after wave. `hurry()` turns it into an emergency at any time. What is started
 * meanwhile, in a pool that stays open, is not ended.
 */
export class Shutdown {
  readonly #deps: ShutdownDeps;
  readonly #cause: ShutdownCause;
  #mode: EndReport['mode'] = 'graceful';
  readonly #chosen: readonly PooledInstance[] | undefined;
  #instances: readonly PooledInstance[] = [];

  /** @param chosen default: all that the pool has when `run()` is called */
  constructor(deps: ShutdownDeps, cause: ShutdownCause, chosen?: readonly PooledInstance[]) {
    this.#deps = deps;
    this.#cause = cause;
    this.#chosen = chosen;
  }

  /** To be called within an operation. Resolves when every tree is proven dead, or was given up by the cleanup queue. */
  async run(options: { mode: EndReport['mode']; timeout: number; drainTimeout: number }): Promise<EndReport> {
    const { clock, dueTimes, fleet, leases: manager } = this.#deps;
    const started = clock.now();
    const held = manager.size;
    const waves = shutdownWaves(this.#chosen ?? fleet.instances(), manager);
    this.#instances = waves.flat().map(({ instance }) => instance);
    for (const instance of this.#instances) fleet.retire(instance, this.#cause.reason);
    if (options.mode === 'emergency') this.hurry();
    const late = newDue(() => this.hurry());
    dueTimes.set(late, started + options.timeout);
    const reports: CleanupReport[] = [];
    for (const wave of waves) {
      const ends = wave.map(async ({ instance, leases }) => {
        await this.#drain(instance, leases, started + options.drainTimeout);
        return this.#end(instance);
      });
      for (const report of await Promise.all(ends)) if (report) reports.push(report);
    }
    dueTimes.delete(late);
    return {
      mode: this.#mode,
      duration: Math.round(clock.now() - started),
      leases: held,
      servers: reports,
      survivors: reports.flatMap(({ name, survivors }) => survivors.map((survivor) => ({ name, ...survivor }))),
    };
  }

  /** Kills everything at once, and skips what a graceful shutdown still waits for. */
  hurry(): void {
    this.#mode = 'emergency';
    // What is proven dead is left alone: its pids may be those of strangers by now.
    const instances = this.#instances.filter(({ state }) => state !== 'stopped');
    const leases = instances.flatMap((instance) => this.#deps.leases.of(instance));
    // Kills all trees before the cleanup queue, which ends only a few at a time.
    for (const instance of instances) instance.killNow();
    for (const { instance } of leases) instance.remember();
    this.#endLeases(leases);
    for (const instance of instances) void instance.stop(this.#cause.reason, 'emergency');
  }

  async #end(instance: PooledInstance): Promise<CleanupReport | undefined> {
    if (instance.state === 'quarantined') return instance.recheck();
    return instance.stop(this.#cause.reason, this.#mode);
  }

  /** Waits until the requests in flight are answered or the time is over, then ends the leases. */
  async #drain(instance: PooledInstance, leases: readonly Lease[], until: number): Promise<void> {
    const { clock } = this.#deps;
    while (isBusy(instance, leases) && this.#mode === 'graceful' && clock.now() < until) {
      await new Promise<void>((resolve) => void clock.after(Math.min(DRAIN_POLL, until - clock.now()), resolve));
    }
    if (instance.leases > 0) instance.remember();
    this.#endLeases(leases);
  }

  #endLeases(leases: readonly Lease[]): void {
    for (const lease of leases) lease.end({ asked: false, error: () => this.#cause.error(lease) });
  }
}

/** An instance that ends in a shutdown, with the leases that end with it. */
export interface ShutdownEnd {
  readonly instance: PooledInstance;
  readonly leases: readonly Lease[];
}

/** Instances in waves: those of one wave end side by side, and a wave begins when the one before it has ended. */
export function shutdownWaves(
  instances: Iterable<PooledInstance>,
  leases: LeaseManager,
): readonly (readonly ShutdownEnd[])[] {
  return [[...instances].map((instance) => ({ instance, leases: leases.of(instance) }))];
}

/** Whether requests are in flight: a graceful shutdown waits for them. */
export function isBusy({ openRequests }: PooledInstance, leases: readonly Lease[]): boolean {
  return openRequests > 0 || leases.some((lease) => lease.openRequests > 0);
}

function causeOf(reason: EndReason, code: PoolErrorCode, what: string, hint: string): ShutdownCause {
  const error = ({ id, instance }: Lease) =>
    new PoolError(code, `${what} while the lease ${id} on server '${shownName(instance)}' was held; ${hint}`, {
      ...namesOf(instance),
      leaseId: id,
    });
  return { reason, error };
}

import type { StopContext } from '../../config/sequence-options.js';
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

/** Ends servers that depend on one another in order. */
export interface Order {
  waveOf(): (instance: PooledInstance) => number;
  covers(instance: PooledInstance): boolean;
  stopAll(
    mode: EndReport['mode'],
    timeout: number,
    end: (instances: readonly PooledInstance[], how: StopContext) => Promise<void>,
  ): Promise<void>;
}

export interface ShutdownDeps {
  readonly clock: Clock;
  readonly dueTimes: DueTimes;
  readonly fleet: Fleet;
  readonly leases: LeaseManager;
  /** Undefined where nothing depends on anything. */
  readonly order?: Order | undefined;
}

/** Why all trees of a pool are ended, and the error of the leases that end with them. */
export interface ShutdownCause {
  readonly reason: EndReason;
  error(lease: Lease): PoolError;
}

/**
 * Ends all trees that a pool has now: each when those that depend on it have ended. `hurry()` turns it into an emergency at any
 * time. What is started meanwhile, in a pool that stays open, is not ended.
 */
export class Shutdown {
  readonly #deps: ShutdownDeps;
  readonly #cause: ShutdownCause;
  #mode: EndReport['mode'] = 'graceful';
  readonly #chosen: readonly PooledInstance[] | undefined;
  #instances: ReadonlySet<PooledInstance> = new Set();
  #drainTimeout = 0;
  readonly #ends = new Map<PooledInstance, Promise<CleanupReport | undefined>>();

  /** @param chosen to be ended side by side. Default: all that the pool has when `run()` is called, in order */
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
    const order = this.#chosen ? undefined : this.#deps.order;
    const isInOrder = options.mode === 'graceful';
    const waves = shutdownWaves(this.#chosen ?? fleet.instances(), manager, isInOrder ? order : undefined);
    this.#instances = new Set(waves.flat().map(({ instance }) => instance));
    this.#drainTimeout = options.drainTimeout;
    for (const instance of this.#instances) fleet.retire(instance, this.#cause.reason);
    if (options.mode === 'emergency') this.hurry();
    const late = newDue(() => this.hurry());
    dueTimes.set(late, started + options.timeout);
    // First those that wait for no other, in this tick.
    for (const instance of this.#instances) if (!order?.covers(instance)) void this.#endOf(instance);
    await order?.stopAll(this.#mode, options.timeout, (instances, how) => this.#endAll(instances, how));
    const reports = await Promise.all([...this.#instances].map((instance) => this.#endOf(instance)));
    dueTimes.delete(late);
    const servers = reports.filter((report) => report !== undefined);
    return {
      mode: this.#mode,
      duration: Math.round(clock.now() - started),
      leases: held,
      servers,
      waves: waves.map((ends) => [...new Set(ends.map(({ instance }) => instance.name))]),
      survivors: servers.flatMap(({ name, survivors }) => survivors.map((survivor) => ({ name, ...survivor }))),
    };
  }

  /** Kills everything at once, and skips what a graceful shutdown still waits for. */
  hurry(): void {
    this.#mode = 'emergency';
    this.#kill([...this.#instances]);
  }

  /** Ends instances of one server within its share of the time. */
  async #endAll(instances: readonly PooledInstance[], { signal }: StopContext): Promise<void> {
    // What was started meanwhile lives on.
    const known = instances.filter((instance) => this.#instances.has(instance));
    const hurry = () => this.#kill(known);
    signal.addEventListener('abort', hurry, { once: true });
    if (signal.aborted) hurry();
    try {
      await Promise.all(known.map((instance) => this.#endOf(instance)));
    } finally {
      signal.removeEventListener('abort', hurry);
    }
  }

  /** Each is ended once. */
  #endOf(instance: PooledInstance): Promise<CleanupReport | undefined> {
    const known = this.#ends.get(instance);
    if (known !== undefined) return known;
    const end = this.#drainAndEnd(instance);
    this.#ends.set(instance, end);
    return end;
  }

  async #drainAndEnd(instance: PooledInstance): Promise<CleanupReport | undefined> {
    const { clock, leases } = this.#deps;
    await this.#drain(instance, leases.of(instance), clock.now() + this.#drainTimeout);
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

  /** What is proven dead is left alone: its pids may be those of strangers by now. */
  #kill(all: readonly PooledInstance[]): void {
    const instances = all.filter(({ state }) => state !== 'stopped');
    const leases = instances.flatMap((instance) => this.#deps.leases.of(instance));
    // Kills all trees before the cleanup queue, which ends only a few at a time.
    for (const instance of instances) instance.killNow();
    for (const { instance } of leases) instance.remember();
    this.#endLeases(leases);
    for (const instance of instances) void instance.stop(this.#cause.reason, 'emergency');
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

/** Instances in waves: those of one wave end side by side, and each when those before it that need it have ended. */
export function shutdownWaves(
  instances: Iterable<PooledInstance>,
  leases: LeaseManager,
  order: Pick<Order, 'waveOf'> | undefined,
): readonly (readonly ShutdownEnd[])[] {
  const waveOf = order?.waveOf() ?? (() => 0);
  const waves: ShutdownEnd[][] = [];
  for (const instance of instances) {
    const wave = waveOf(instance);
    waves[wave] ??= [];
    waves[wave].push({ instance, leases: leases.of(instance) });
  }
  // A server of a wave may have no instance just now.
  return waves.filter((ends) => ends !== undefined);
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

import type { StopContext } from '../../config/sequence-options.js';
import type { Clock } from '../../runtime/clock.js';
import type { Operations } from '../../server/instance-context.js';
import type { Fleet } from '../instances/fleet.js';
import type { PooledInstance } from '../instances/pooled-instance.js';
import type { LeaseManager } from '../leases/lease-manager.js';
import { endedWithDependency } from '../refusals.js';
import type { CrashRecovery } from '../supervision/crash-recovery.js';
import type { RollingReplacement } from '../supervision/rolling-replacement.js';

export interface OrderedEndsDeps {
  readonly clock: Clock;
  readonly fleet: Fleet;
  readonly leases: LeaseManager;
  readonly recovery: CrashRecovery;
  readonly replacement: RollingReplacement;
  readonly scheduler: Operations;
}

/** Longest time that requests in flight get before a restart that the host has asked for, ms. */
const DRAIN_TIMEOUT = 5_000;
const GRACEFUL: StopContext = { mode: 'graceful', signal: new AbortController().signal };

/** Ends the instances of one server and tenant, when what they depend on has ended, or is to. */
export class OrderedEnds {
  readonly #deps: OrderedEndsDeps;

  constructor(deps: OrderedEndsDeps) {
    this.#deps = deps;
  }

  /** Ends those that no lease uses, and no caller waits for. */
  clear(instances: readonly PooledInstance[], how: StopContext = GRACEFUL): Promise<void> {
    const { fleet } = this.#deps;
    const isFree = (one: PooledInstance) =>
      one.leases === 0 && (one.state !== 'starting' || (fleet.classOf(one)?.surplusStarts.includes(one) ?? false));
    return this.#end(instances.filter(isFree), how);
  }

  /** Ends all, with their leases. */
  stop(instances: readonly PooledInstance[], why: string, how: StopContext): Promise<void> {
    this.#deps.scheduler.run(() => this.#endLeases(instances, why));
    return this.#end(instances, how);
  }

  /** Ends all. Leases that can move do; the instances that get them are started when what they depend on is there again. */
  async restart(instances: readonly PooledInstance[], why: string, how: StopContext, drains: boolean): Promise<void> {
    const { fleet, recovery, replacement, scheduler } = this.#deps;
    // One that was not launched waits for what it depends on; the leases of one that is ending move, or end, by themselves.
    const living = instances.filter(
      ({ state, wasLaunched }) => state === 'ready' || (state === 'starting' && wasLaunched),
    );
    scheduler.run(() => {
      // It gets no lease any more.
      for (const instance of living) fleet.retire(instance, 'dependency');
    });
    if (drains) await Promise.all(living.map((instance) => this.#drain(instance, how.signal)));
    scheduler.run(() => {
      for (const instance of living) {
        const isThere = instance.state === 'ready' || instance.state === 'starting';
        const moves = isThere && instance.leases > 0 && replacement.canMove(instance);
        const entry = moves ? recovery.entryFor(instance) : undefined;
        if (entry) recovery.appointSuccessor(entry, instance, 0);
        else if (isThere) this.#endLeases([instance], why);
      }
    });
    const waiting = instances.filter(
      ({ state, wasLaunched, leases }) => state === 'starting' && !wasLaunched && leases === 0,
    );
    await this.#end([...living, ...waiting], how);
  }

  /** Its requests in flight may be answered; new ones wait for the next instance, where leases can move. */
  async #drain(instance: PooledInstance, signal: AbortSignal): Promise<void> {
    if (instance.state !== 'ready' || instance.leases === 0) return;
    let timer = { cancel: () => {} };
    const late = new Promise<void>((resolve) => {
      timer = this.#deps.clock.after(DRAIN_TIMEOUT, resolve);
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
    if (this.#deps.replacement.canMove(instance)) instance.suspend();
    await Promise.race([instance.drained(), late]);
    timer.cancel();
  }

  #endLeases(instances: readonly PooledInstance[], why: string): void {
    for (const instance of instances) {
      if (instance.leases > 0) this.#deps.leases.endAll(instance, endedWithDependency(instance, why));
    }
  }

  /** Waits also for those that are ending already. */
  async #end(instances: readonly PooledInstance[], { mode, signal }: StopContext): Promise<void> {
    const { scheduler } = this.#deps;
    const ends = scheduler.run(() => instances.map((instance) => instance.stop('dependency', mode)));
    const hurry = () =>
      scheduler.run(() => {
        for (const instance of instances) void instance.stop('dependency', 'emergency');
      });
    signal.addEventListener('abort', hurry, { once: true });
    if (signal.aborted) hurry();
    try {
      await Promise.all(ends);
    } finally {
      signal.removeEventListener('abort', hurry);
    }
  }
}

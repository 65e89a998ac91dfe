import { namesOf, PoolError, type PoolErrorCode, shownName } from '../../errors.js';
import type { Clock } from '../../runtime/clock.js';
import type { Due, DueTimes } from '../../runtime/due-times.js';
import type { PoolEmitter } from '../events.js';
import type { Fleet } from '../instances/fleet.js';
import type { PooledInstance } from '../instances/pooled-instance.js';
import type { OpenEntry, ServerEntry } from '../instances/server-entry.js';
import { tenantRoom } from '../instances/tenant-limit.js';
import type { LeaseEvents } from '../leases/lease-events.js';
import type { LeaseManager } from '../leases/lease-manager.js';
import type { PoolCounts } from '../metrics.js';
import { serverEvent } from '../server-event.js';
import type { Breakers } from './breakers.js';

export interface CrashRecoveryDeps {
  readonly clock: Clock;
  readonly dueTimes: DueTimes;
  readonly fleet: Fleet;
  readonly breakers: Breakers;
  readonly leases: LeaseManager;
  readonly emitter: PoolEmitter;
  readonly leaseEvents: LeaseEvents;
  readonly counts: PoolCounts;
}

/**
 * Keeps leases when their process ends: they move to another instance. A successor gets the leases at once, and the slot when
 * its predecessor is proven dead. A next one is started beside the instance that it replaces, and gets the leases when it is
 * ready.
 */
export class CrashRecovery {
  readonly #deps: CrashRecoveryDeps;
  /** By instance: the next one, while that starts. */
  readonly #nexts = new WeakMap<PooledInstance, PooledInstance>();
  /** By successor or next one: the instance that served its leases last. */
  readonly #predecessors = new WeakMap<PooledInstance, PooledInstance>();
  /** Instances that ended unexpectedly. */
  readonly #lost = new WeakSet<PooledInstance>();
  readonly #pending = new Map<PooledInstance, Pending>();
  /** Those of them for which something has changed. Only these are looked at: with many in backoff, each operation would pay. */
  readonly #changed = new Set<PooledInstance>();

  constructor(deps: CrashRecoveryDeps) {
    this.#deps = deps;
  }

  /** Whether an instance is started to replace another. */
  isSuccessor(instance: PooledInstance): boolean {
    return this.#predecessors.has(instance);
  }

  /** An instance ended unexpectedly, or could not be started: its leases get a successor, or end. */
  lost(instance: PooledInstance, error: PoolError): void {
    const { breakers, emitter, fleet, leases } = this.#deps;
    // The failures of a definition that was changed or removed say nothing about later starts.
    const isOutdated = instance.retired === 'replaced' || instance.retired === 'removed';
    const counts = !isOutdated && (instance.leasesStay || (instance.pid !== undefined && instance.answers === 0));
    if (!counts) breakers.ending(instance);
    const outcome = counts ? breakers.failed(instance, error) : ({ restart: true, delay: 0 } as const);
    // Callers of its class may be refused now.
    fleet.instanceChanged(instance);
    this.#lost.add(instance);
    if (instance.leases === 0) return;
    const entry = this.entryFor(instance);
    if (!instance.leasesStay || entry === undefined || !outcome.restart) {
      return leases.endAll(instance, outcome.restart ? error : outcome.error);
    }
    // An instance that is being replaced has a next one already.
    const next = this.#nexts.get(instance);
    const delay = next ? 0 : Math.round(outcome.delay);
    emitter.emit('server:restarting', { ...serverEvent(instance), error, delay });
    if (next?.state === 'starting') leases.move(instance, next);
    else this.appointSuccessor(entry, instance, outcome.delay, error);
  }

  /** `next` is started beside `instance`, and takes over its leases when it is ready. */
  appointNext(instance: PooledInstance, next: PooledInstance): void {
    this.#nexts.set(instance, next);
    this.#predecessors.set(next, instance);
  }

  /** The start of the next one is over. */
  forgetNext(instance: PooledInstance): void {
    const next = this.#nexts.get(instance);
    if (next) this.#predecessors.delete(next);
    this.#nexts.delete(instance);
  }

  /** Makes an instance that gets the leases of `predecessor` now, and its slot when it is proven dead. */
  appointSuccessor(entry: OpenEntry, predecessor: PooledInstance, delay: number, cause?: PoolError): PooledInstance {
    const { clock, dueTimes, fleet, leases } = this.#deps;
    const successor = predecessor.successor(entry.definition);
    fleet.addSuccessor(entry, successor, predecessor);
    // It replaces the instance that served last, even if successors have failed to start in between.
    this.#predecessors.set(successor, this.#predecessors.get(predecessor) ?? predecessor);
    this.#predecessors.delete(predecessor);
    leases.move(predecessor, successor);
    const pending = new Pending(successor, delay <= 0, cause, () => this.#changed.add(successor));
    this.#pending.set(successor, pending);
    this.#changed.add(successor);
    if (!pending.isDue) dueTimes.set(pending, clock.now() + delay);
    return successor;
  }

  /** An instance begins to end. One that was to be launched is not. */
  stopping(instance: PooledInstance): void {
    if (this.#forget(instance)) this.#predecessors.delete(instance);
  }

  /** An instance is dead or quarantined: the successor that waits for its slot gets it, or another one. */
  slotDecided(instance: PooledInstance): void {
    const successor = this.#deps.fleet.slots.successorOf(instance);
    if (successor) this.#changed.add(successor);
  }

  /** A server was changed or removed, or what it depends on has come: its successors may be launched, or given up. */
  redefined({ instances }: Pick<ServerEntry, 'instances'>): void {
    if (this.#pending.size === 0) return;
    for (const instance of instances) if (this.#pending.has(instance)) this.#changed.add(instance);
  }

  /** A successor that is not launched after all waits until what it depends on is there. */
  postpone(successor: PooledInstance): void {
    const pending = new Pending(successor, true, undefined, () => this.#changed.add(successor));
    this.#pending.set(successor, pending);
    this.#changed.add(successor);
  }

  /** What a server depends on will not come: the successors that wait for it are given up. */
  giveUp(instances: Iterable<PooledInstance>, error: PoolError): void {
    for (const instance of instances) if (this.#pending.has(instance)) instance.giveUp(error);
  }

  /** Whether there may be successors to be launched. */
  get hasChanged(): boolean {
    return this.#changed.size > 0;
  }

  /** The successors to be launched now. Gives up those that cannot be launched any more. */
  takeLaunchable(): PooledInstance[] {
    const launchable: PooledInstance[] = [];
    for (const successor of this.#changed) {
      this.#changed.delete(successor);
      const pending = this.#pending.get(successor);
      const problem = pending ? this.#assess(successor, pending) : 'wait';
      if (problem === 'wait') continue;
      if (problem !== 'launch') {
        successor.giveUp(problem);
        continue;
      }
      this.#forget(successor);
      launchable.push(successor);
    }
    return launchable;
  }

  /** False when the instance does not wait to be launched. */
  #forget(instance: PooledInstance): boolean {
    const pending = this.#pending.get(instance);
    if (pending === undefined) return false;
    this.#deps.dueTimes.delete(pending);
    this.#changed.delete(instance);
    return this.#pending.delete(instance);
  }

  #assess(successor: PooledInstance, { isDue, cause }: Pending): 'wait' | 'launch' | PoolError {
    const { fleet } = this.#deps;
    // The shutdown ends it, together with its leases.
    if (!fleet.isOpen) return 'wait';
    const entry = this.entryFor(successor);
    if (entry === undefined) return notStarted(successor, 'SERVER_STOPPED', 'it was removed', cause);
    if (!isDue || !fleet.gate.dependencies.allowsOrAsks(entry, successor.tenant)) return 'wait';
    const predecessor = fleet.slots.predecessorOf(successor);
    if (predecessor === undefined) return 'launch';
    if (predecessor.state !== 'quarantined') return 'wait';
    // The predecessor is quarantined and keeps its slot, so another one is needed. It is no new start that a level would refuse.
    if (!fleet.hasSlot(entry) || tenantRoom(fleet, entry, successor.tenant) !== 'free') {
      const why = `process ${predecessor.pid} could not be ended and keeps its slot; end it, or raise maxInstances, maxInstancesPerTenant or limits.maxProcesses`;
      return notStarted(successor, 'SERVER_EXITED', why, cause);
    }
    fleet.slots.separate(entry, predecessor);
    return 'launch';
  }

  /**
   * An instance that is ready gets the leases of the one that it replaces. Returns a function that emits the events, to be
   * called after `server:ready`.
   */
  takeOver(instance: PooledInstance): (() => void) | undefined {
    const predecessor = this.#predecessors.get(instance);
    if (predecessor === undefined) return undefined;
    const { emitter, leaseEvents, leases, counts } = this.#deps;
    this.#predecessors.delete(instance);
    if (this.#nexts.get(predecessor) === instance) this.#nexts.delete(predecessor);
    if (this.#lost.has(predecessor)) counts.restarts += 1;
    leases.move(predecessor, instance);
    const previousInstanceId = predecessor.id;
    const moved = { ...serverEvent(instance), previousInstanceId };
    return () => {
      emitter.emit('server:restarted', moved);
      for (const lease of leases.of(instance)) leaseEvents.moved(lease, previousInstanceId);
    };
  }

  /** The entry of an instance, if another instance of the definition of now may have its leases. */
  entryFor(instance: PooledInstance): OpenEntry | undefined {
    const { fleet } = this.#deps;
    const entry = fleet.isOpen ? fleet.openEntry(instance) : undefined;
    if (entry === undefined) return undefined;
    const { sharing, reuse } = entry.definition;
    return sharing === instance.sharing && reuse === instance.definition.reuse ? entry : undefined;
  }
}

/** A successor that is not launched yet: it waits for its backoff to pass, and for the slot of its predecessor. */
class Pending implements Due {
  rank = 0;
  place = -1;
  order = 0;
  readonly about: PooledInstance;
  isDue: boolean;
  /** Why its predecessor was lost; undefined when it is ended on purpose. */
  readonly cause: PoolError | undefined;
  readonly #onDue: () => void;

  constructor(successor: PooledInstance, isDue: boolean, cause: PoolError | undefined, onDue: () => void) {
    this.about = successor;
    this.isDue = isDue;
    this.cause = cause;
    this.#onDue = onDue;
  }

  fallDue(): void {
    this.isDue = true;
    this.#onDue();
  }
}

/** The error of a successor that is not started. When its predecessor was lost, the leases get that error as its cause. */
function notStarted(
  instance: PooledInstance,
  code: PoolErrorCode,
  why: string,
  cause: PoolError | undefined,
): PoolError {
  const message = `server '${shownName(instance)}' was not started again: ${why}`;
  if (cause === undefined) return new PoolError(code, message, namesOf(instance));
  return new PoolError(cause.code, `${message}; before that: ${cause.message}`, cause.data, cause);
}

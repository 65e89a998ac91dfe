import type { PoolError } from '../../errors.js';
import type { Clock } from '../../runtime/clock.js';
import { type Due, type DueTimes, newDue } from '../../runtime/due-times.js';
import { END_MEANING, type EndReason } from '../../server/end-reason.js';
import type { InstanceObserver } from '../../server/instance-context.js';
import type { Fleet } from '../instances/fleet.js';
import { type LeaseScope, SPARE, SPARE_KEY } from '../instances/lease-scope.js';
import type { PooledInstance } from '../instances/pooled-instance.js';
import { isOpen, type LeaseClass, type OpenEntry, type ServerEntry, startsNeeded } from '../instances/server-entry.js';
import type { CrashRecovery } from '../supervision/crash-recovery.js';
import type { InstanceSupervisor } from '../supervision/instance-supervisor.js';
import type { StartTurns } from '../supervision/start-turns.js';
import type { AcquireQueue } from './acquire-queue.js';

/** Spare instances that live shorter are started with the pauses of those that fail, ms. */
const SHORT_LIFE = 1_000;

export interface StartsDeps {
  readonly clock: Clock;
  readonly dueTimes: DueTimes;
  readonly fleet: Fleet;
  readonly queue: AcquireQueue;
  readonly recovery: CrashRecovery;
  readonly supervisor: InstanceSupervisor;
  readonly turns: StartTurns;
}

/** Makes the starts of a pool: for callers, for `minIdle`, for successors. Handles starts that fail or are not needed. */
export class Starts {
  readonly #deps: StartsDeps;
  /** Due when a start for `minIdle` may be tried again. Does nothing itself: after each operation `fillMinimum` is called. */
  readonly #retry: Due = newDue(() => {});

  constructor(deps: StartsDeps) {
    this.#deps = deps;
  }

  /**
   * Starts an instance for a caller. It may wait for its turn.
   * @throws PoolError when it was refused at once
   */
  start(entry: OpenEntry, scope: LeaseScope, observer: InstanceObserver<PooledInstance>): void {
    const { supervisor } = this.#deps;
    supervisor.launch(supervisor.admit(entry, scope, observer));
  }

  /** Starts an instance that no caller asked for; undefined when it was refused at once. It may wait for its turn. */
  startSpare(
    entry: OpenEntry,
    scope: LeaseScope,
    observer: InstanceObserver<PooledInstance>,
  ): PooledInstance | undefined {
    const { supervisor } = this.#deps;
    try {
      const instance = supervisor.admit(entry, scope, observer);
      supervisor.markSpare(instance);
      supervisor.launch(instance);
      return instance;
    } catch {
      this.spareFailed(entry);
      return undefined;
    }
  }

  /** Launches a successor. */
  launchSuccessor(instance: PooledInstance): void {
    if (this.#deps.supervisor.takeTurn(instance)) this.#spawn(instance);
  }

  /** Spawns the starts that have waited for their turn, as many as there are turns. */
  spawnInTurn(): void {
    const { turns } = this.#deps;
    for (let instance = turns.next(); instance !== undefined; instance = turns.next()) {
      // What it depends on may have ended while it waited.
      if (this.#isAllowed(instance)) this.#spawn(instance);
      else if (instance.leases > 0) this.#postpone(instance);
      else void instance.stop('unwanted');
    }
  }

  /** Starts the instances that `minIdle` asks for. Only called when no caller waits, since callers come first. */
  fillMinimum(observer: InstanceObserver<PooledInstance>): void {
    const { mayLackSpares } = this.#deps.fleet;
    let waiting = 0;
    for (const entry of mayLackSpares) {
      if (this.#fillMinimumOf(entry, observer)) entry.mayLackSpares = false;
      else mayLackSpares[waiting++] = entry;
    }
    // Not by its length: V8 would free the array, and make another with the next change.
    while (mayLackSpares.length > waiting) mayLackSpares.pop();
  }

  /** False when it still lacks some: it waits for room, or for a pause to end. */
  #fillMinimumOf(entry: ServerEntry, observer: InstanceObserver<PooledInstance>): boolean {
    while (isOpen(entry) && entry.lacksSpare) {
      if (!this.#mayStartSpare(entry)) return false;
      this.startSpare(entry, SPARE, observer);
    }
    return true;
  }

  /** A start failed: rejects the oldest callers with its error, as many as lose their seat by it. */
  failed(instance: PooledInstance, error: PoolError): void {
    const { fleet, supervisor } = this.#deps;
    const leaseClass = fleet.classOf(instance);
    const { seats } = instance;
    supervisor.startFailed(instance, error);
    if (leaseClass === undefined) return;
    this.#rejectOldest(leaseClass, seats, error);
    if (supervisor.isSpare(instance)) this.spareFailed(leaseClass.entry);
  }

  /**
   * A spare instance ended before its first use: by itself, or by a short `maxLifetime`. Counted as a failed start, or it would
   * be started again without a pause.
   */
  spareEnded(instance: PooledInstance, reason: EndReason): void {
    const { clock, fleet, supervisor } = this.#deps;
    const isShortLife = reason === 'max-lifetime' && clock.now() < (instance.readySince ?? 0) + SHORT_LIFE;
    if (END_MEANING[reason].asked && !isShortLife) return;
    const entry = fleet.classOf(instance)?.entry;
    // During its start, `failed` counts it.
    if (entry === undefined || instance.uses > 0 || fleet.isStarting(instance)) return;
    if (supervisor.isSpare(instance)) this.spareFailed(entry);
  }

  /**
   * A start that has a process runs on when nothing needs it: it serves the next caller or becomes idle, unless another caller
   * needs its slot; so does one for which npm is run. One without a process ends: no work is lost, and other starts are not
   * delayed. To be called when one more start may be too many.
   */
  endUnneeded(leaseClass: LeaseClass): void {
    const { fleet, supervisor } = this.#deps;
    const { entry, key, waiting } = leaseClass;
    // A shutdown ends all starts itself.
    if (leaseClass.starts.length === 0 || !isOpen(entry) || !fleet.isOpen) return;
    const starts = leaseClass.freeStarts;
    const missing = key === SPARE_KEY ? Math.max(0, entry.definition.minIdle - entry.spareCount) : 0;
    if (starts.length <= startsNeeded(starts, waiting) + missing) return;
    const droppable = starts.filter(
      (instance) => !instance.wasLaunched && !instance.isPreparing && !supervisor.isSpare(instance),
    );
    void droppable.at(-1)?.stop('unwanted');
  }

  /** When the start is refused at once, the callers that wait for it are rejected. */
  #spawn(instance: PooledInstance): void {
    const { fleet, supervisor } = this.#deps;
    const leaseClass = fleet.classOf(instance);
    const { seats } = instance;
    try {
      supervisor.spawn(instance);
    } catch (error) {
      if (leaseClass === undefined) return;
      this.#rejectOldest(leaseClass, seats, error as PoolError);
      if (supervisor.isSpare(instance)) this.spareFailed(leaseClass.entry);
    }
  }

  /** A successor waits until it is there again. */
  #postpone(instance: PooledInstance): void {
    const { recovery, turns } = this.#deps;
    turns.giveBack(instance);
    recovery.postpone(instance);
  }

  #isAllowed(instance: PooledInstance): boolean {
    const { fleet } = this.#deps;
    const entry = fleet.openEntry(instance);
    return entry === undefined || fleet.gate.dependencies.allows(entry, instance.tenant);
  }

  #rejectOldest(leaseClass: LeaseClass, seats: number, error: PoolError): void {
    const { queue } = this.#deps;
    if (!isOpen(leaseClass.entry)) return;
    const count = Math.min(seats, leaseClass.waiting - leaseClass.startingSeats);
    for (const waiter of queue.classOf(leaseClass)?.oldest(count) ?? []) queue.reject(waiter, error);
  }

  /** The next one is started after a pause. */
  spareFailed(entry: ServerEntry): void {
    const { clock, dueTimes } = this.#deps;
    entry.sparePause.failed(clock.now());
    dueTimes.noLaterThan(this.#retry, entry.sparePause.until);
  }

  #mayStartSpare(entry: OpenEntry): boolean {
    const { clock, dueTimes, fleet } = this.#deps;
    if (fleet.gate.holdsSpares) return false;
    const retryAt = Math.max(entry.sparePause.until, fleet.gate.restingSpares.get(entry.name)?.until ?? 0);
    if (retryAt > clock.now()) {
      dueTimes.noLaterThan(this.#retry, retryAt);
      return false;
    }
    if (!fleet.hasRoom(entry) || !fleet.gate.dependencies.allowsOrAsks(entry, SPARE.tenant)) return false;
    return fleet.gate.preflight.allows(clock.now());
  }
}

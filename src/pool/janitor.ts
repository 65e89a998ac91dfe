import type { Clock, Timer } from '../config/clock.js';
import type { ResolvedPoolOptions } from '../config/options.js';
import type { ServerInstance } from '../server/server-instance.js';
import { type Fleet, isOpen, type OpenGroup, reuseKey, type ServerGroup, SPARE } from './fleet.js';
import type { Lease } from './lease.js';
import type { LeaseDesk } from './lease-desk.js';

/** How often quarantined trees are looked at again, ms. */
const QUARANTINE_INTERVAL = 30_000;
/** Backoff of starts for `minIdle` that fail, ms: 1 s, 2 s, 4 s, … */
const FIRST_RETRY = 1_000;
const LONGEST_RETRY = 60_000;

export interface JanitorActions {
  /** An idle instance that is idle for too long, or too old. */
  retire(instance: ServerInstance, reason: 'idle' | 'max-lifetime'): void;
  /** Starts an instance that no caller asked for. */
  startSpare(group: OpenGroup): void;
}

/** Does what falls due as time passes, with one timer that is set to the next thing due and never holds the host. */
export class Janitor {
  readonly #clock: Clock;
  readonly #fleet: Fleet;
  readonly #desk: LeaseDesk;
  readonly #options: ResolvedPoolOptions;
  readonly #actions: JanitorActions;
  #timer: Timer | undefined;
  #due = Infinity;
  #stopped = false;

  constructor(clock: Clock, fleet: Fleet, desk: LeaseDesk, options: ResolvedPoolOptions, actions: JanitorActions) {
    this.#clock = clock;
    this.#fleet = fleet;
    this.#desk = desk;
    this.#options = options;
    this.#actions = actions;
  }

  /** Something falls due at clock time `at`. Cheap when something else is due before. */
  wakeAt(at: number): void {
    if (at >= this.#due || this.#stopped) return;
    this.#timer?.cancel();
    this.#due = at;
    this.#timer = this.#clock.after(at - this.#clock.now(), () => this.#sweep());
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
    this.#due = Infinity;
  }

  /** An instance became idle. */
  parked(instance: ServerInstance): void {
    this.wakeAt(Math.min(instance.idleSince + instance.definition.idleTimeout, instance.expiresAt));
  }

  /** Starts what `minIdle` asks for, where there is room that no caller needs. */
  fillUp(): void {
    if (this.#stopped || this.#desk.queue.size > 0) return;
    for (const group of this.#fleet.withMinimum) {
      if (!isOpen(group)) continue;
      const { definition } = group;
      if (group.retryAt > this.#clock.now()) {
        this.wakeAt(group.retryAt);
        continue;
      }
      const key = reuseKey(definition, SPARE);
      const spare = this.#fleet.idleFor(group, key) + this.#fleet.startsFor(group, key).length;
      const room = Math.min(
        definition.maxInstances - group.instances.size,
        this.#options.limits.maxProcesses - this.#fleet.used,
      );
      let missing = Math.min(definition.minIdle - spare, room);
      for (; missing > 0 && group.retryAt <= this.#clock.now(); missing--) this.#actions.startSpare(group);
    }
  }

  /** A start that no caller waited for failed: the next one waits longer. */
  spareFailed(group: ServerGroup): void {
    group.retryAt = this.#clock.now() + Math.min(FIRST_RETRY * 2 ** group.failures, LONGEST_RETRY);
    group.failures += 1;
    this.wakeAt(group.retryAt);
  }

  /** A caller is kept waiting: takes back the leases that are silent for too long, and comes back for the others. */
  reclaimSilent(): void {
    const byActivity = [...this.#desk.leases.values()].sort(
      (a, b) => a.instance.lastActivity - b.instance.lastActivity,
    );
    for (const lease of byActivity) {
      // A server that works on an answer is not silent, it is busy.
      if (lease.instance.openRequests > 0 || !this.#wouldHelp(lease)) continue;
      const silent = this.#clock.now() - lease.instance.lastActivity;
      const left = lease.instance.definition.leaseIdleTimeout - silent;
      if (left <= 0)
        this.#desk.reclaim(lease, `silent for ${Math.round(silent)} ms (leaseIdleTimeout) while somebody waited`);
      else this.wakeAt(this.#clock.now() + left);
    }
  }

  /** Asked again for each lease: the one taken back before may have been enough. */
  #wouldHelp(lease: Lease): boolean {
    for (const { blockedBy, name } of this.#desk.queue) {
      if (blockedBy === 'maxProcesses' || (blockedBy === 'maxInstances' && name === lease.name)) return true;
    }
    return false;
  }

  #sweep(): void {
    this.#due = Infinity;
    const now = this.#clock.now();
    for (const group of this.#fleet.groups.values()) this.#sweepIdle(group, now);
    for (const instance of this.#fleet.instances()) {
      if (instance.state !== 'quarantined') continue;
      void instance.recheck();
      this.wakeAt(now + QUARANTINE_INTERVAL);
    }
    if (this.#options.leakDetection > 0) for (const lease of this.#desk.leases.values()) this.#checkLeak(lease, now);
    if (this.#desk.queue.size > 0) this.reclaimSilent();
    this.fillUp();
  }

  #sweepIdle(group: ServerGroup, now: number): void {
    const spared = group.definition?.minIdle ?? 0;
    for (const idle of [...group.idle.values()]) {
      for (const instance of [...idle]) {
        const { idleTimeout } = instance.definition;
        if (instance.expiresAt <= now) this.#actions.retire(instance, 'max-lifetime');
        else if (instance.idleSince + idleTimeout > now) this.parked(instance);
        else if (group.idleCount > spared) this.#actions.retire(instance, 'idle');
        else this.wakeAt(instance.expiresAt);
      }
    }
  }

  #checkLeak(lease: Lease, now: number): void {
    if (lease.leakTold) return;
    const held = now - lease.acquiredAt;
    if (held < this.#options.leakDetection) return this.wakeAt(lease.acquiredAt + this.#options.leakDetection);
    lease.leakTold = true;
    this.#desk.tellLeak(lease, held);
  }

  quarantined(): void {
    this.wakeAt(this.#clock.now() + QUARANTINE_INTERVAL);
  }
}

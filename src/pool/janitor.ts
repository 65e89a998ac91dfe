import type { ResolvedPoolOptions } from '../config/options.js';
import type { Clock, Timer } from '../runtime/clock.js';
import type { ServerInstance } from '../server/server-instance.js';
import type { Fleet } from './fleet.js';
import type { Lease } from './lease.js';
import type { LeaseDesk } from './lease-desk.js';
import type { Lifecycle } from './lifecycle.js';
import { idleVerdicts } from './reuse.js';
import { isOpen, type OpenGroup, readyFor, type ServerGroup, startsFor } from './server-group.js';
import { silenceOf, silences } from './silence.js';
import type { WaitQueue } from './wait-queue.js';
import { kindOf, reuseKey, SPARE } from './whose.js';

/** How often quarantined trees are looked at again, ms. */
const QUARANTINE_INTERVAL = 30_000;
/** Backoff of starts for `minIdle` that fail, ms: 1 s, 2 s, 4 s, … */
const FIRST_RETRY = 1_000;
const LONGEST_RETRY = 60_000;

/** Does what falls due as time passes, with one timer that is set to the next thing due and never holds the host. */
export class Janitor {
  readonly #clock: Clock;
  readonly #fleet: Fleet;
  readonly #desk: LeaseDesk;
  readonly #queue: WaitQueue;
  readonly #options: ResolvedPoolOptions;
  readonly #lifecycle: Lifecycle;
  #timer: Timer | undefined;
  #due = Infinity;
  #stopped = false;

  constructor(
    clock: Clock,
    fleet: Fleet,
    desk: LeaseDesk,
    queue: WaitQueue,
    options: ResolvedPoolOptions,
    lifecycle: Lifecycle,
  ) {
    this.#clock = clock;
    this.#fleet = fleet;
    this.#desk = desk;
    this.#queue = queue;
    this.#options = options;
    this.#lifecycle = lifecycle;
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
    if (this.#stopped || this.#queue.size > 0) return;
    for (const group of this.#fleet.withMinimum) {
      if (group.retryAt > this.#clock.now()) this.wakeAt(group.retryAt);
      // Asked again before each start: a listener to the last one may have changed everything.
      while (isOpen(group) && this.#lacksSpare(group)) this.#lifecycle.startSpare(group, SPARE);
    }
  }

  #lacksSpare(group: OpenGroup): boolean {
    const { minIdle } = group.definition;
    const key = reuseKey(group.definition, SPARE);
    if (readyFor(group, key) + startsFor(group, key).length >= minIdle) return false;
    return group.retryAt <= this.#clock.now() && this.#fleet.hasRoom(group, this.#options.limits.maxProcesses);
  }

  /** A start that no caller waited for failed: the next one waits longer. */
  spareFailed(group: ServerGroup): void {
    group.retryAt = this.#clock.now() + Math.min(FIRST_RETRY * 2 ** group.failures, LONGEST_RETRY);
    group.failures += 1;
    this.wakeAt(group.retryAt);
  }

  /** Callers are kept waiting: takes a lease back that is silent for too long, and comes back for the others. */
  reclaimSilent(): void {
    const blocked = [...this.#queue].filter(({ blockedBy }) => blockedBy !== undefined);
    if (blocked.length === 0) return;
    const forAny = blocked.some(({ blockedBy }) => blockedBy === 'maxProcesses');
    const names = new Set(blocked.map(({ name }) => name));
    const kinds = new Set(blocked.map(({ kind }) => kind));
    const now = this.#clock.now();
    const silent = silences(this.#desk.leases.values(), now);
    for (const lease of this.#desk.leases.values()) {
      const { instance } = lease;
      const { leaseIdleTimeout } = instance.definition;
      if (!forAny && !names.has(lease.name)) continue;
      // A seat comes free with one lease; who needs the slot of a shared instance gets it when all of its leases are silent.
      const needsSeat = kinds.has(kindOf(instance.definition, instance));
      const silence = needsSeat ? silenceOf(lease, now) : (silent.get(instance) ?? 0);
      if (silence < leaseIdleTimeout) this.wakeAt(now + leaseIdleTimeout - silence);
      else {
        // One at a time: its end lets the waiters be looked at again, which leads back here.
        return this.#desk.reclaim(
          lease,
          `silent for ${Math.round(silence)} ms (leaseIdleTimeout) while somebody waited`,
        );
      }
    }
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
    this.reclaimSilent();
    this.fillUp();
  }

  #sweepIdle(group: ServerGroup, now: number): void {
    for (const { instance, reason } of idleVerdicts(group, now)) {
      if (reason !== undefined) void instance.stop(reason);
      else if (instance.idleSince + instance.definition.idleTimeout > now) this.parked(instance);
      else this.wakeAt(instance.expiresAt);
    }
  }

  #checkLeak(lease: Lease, now: number): void {
    if (lease.leakTold) return;
    const held = now - lease.acquiredAt;
    if (held < this.#options.leakDetection) return this.wakeAt(lease.acquiredAt + this.#options.leakDetection);
    lease.leakTold = true;
    this.#desk.news.leaked(lease, held);
  }

  quarantined(): void {
    this.wakeAt(this.#clock.now() + QUARANTINE_INTERVAL);
  }
}

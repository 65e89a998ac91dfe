import type { Dependency } from '../../config/depends-on.js';
import type { SequenceStartOptions } from '../../config/sequence-options.js';
import { PoolError } from '../../errors.js';
import type { Clock } from '../../runtime/clock.js';
import { type DueTimes, newDue } from '../../runtime/due-times.js';
import type { SequenceReport } from '../../sequence/sequence-report.js';
import type { AcquireQueue } from '../acquire/acquire-queue.js';
import type { Scheduler } from '../acquire/scheduler.js';
import type { Starts } from '../acquire/starts.js';
import type { Fleet } from '../instances/fleet.js';
import { type LeaseScope, reuseKey, SPARE } from '../instances/lease-scope.js';
import { isOpen, type OpenEntry } from '../instances/server-entry.js';
import { dependencyFailed } from '../refusals.js';
import type { CrashRecovery } from '../supervision/crash-recovery.js';
import type { Needs } from './needs.js';
import type { StepSet } from './step-set.js';

export interface CallerStartsDeps {
  readonly clock: Clock;
  readonly dueTimes: DueTimes;
  readonly fleet: Fleet;
  readonly queue: AcquireQueue;
  readonly recovery: CrashRecovery;
  readonly scheduler: Scheduler;
  readonly starts: Starts;
  /** Of the pool, ms. */
  readonly acquireTimeout: number;
  /** A fault of this library, which must not be lost. */
  onFault(fault: unknown): void;
}

/** The sequence of the tenant. */
export interface SequenceOfTenant {
  readonly tenant: string | undefined;
  readonly steps: StepSet;
  readonly needs: Needs;
  readonly isDetached: boolean;
  include(names: readonly string[]): void;
  want(name: string, scope: LeaseScope | undefined): () => void;
  start(options: SequenceStartOptions): Promise<SequenceReport>;
  allows(entry: OpenEntry): boolean;
  isThere(name: string): boolean;
  isUp(name: string): boolean;
  reviewSoon(): void;
}

/** Pause before what could not be brought up is asked for again, ms: nothing may ask again and again in one turn. */
const PAUSE = 100;

/** Brings up what the callers of one tenant wait for, and tells them when that fails. */
export class CallerStarts {
  readonly #sequence: SequenceOfTenant;
  readonly #deps: CallerStartsDeps;
  /** What ends each of them before its time. */
  readonly #asked = new Map<string, AbortController>();
  #settled: Promise<unknown> = Promise.resolve();
  /** Calls of `warm()`. */
  #warms = 0;
  /** The one that is under way, by the name of its server. */
  readonly #warmed = new Map<string, { readonly key: string; readonly outcome: Promise<PoolError | undefined> }>();

  constructor(sequence: SequenceOfTenant, deps: CallerStartsDeps) {
    this.#sequence = sequence;
    this.#deps = deps;
  }

  get isBusy(): boolean {
    return this.#asked.size > 0 || this.#warms > 0;
  }

  /** A start waits for what this server depends on. */
  bringUp(entry: OpenEntry): void {
    const sequence = this.#sequence;
    const { name, definition } = entry;
    if (this.#asked.has(name) || sequence.isDetached) return;
    // What is renewed wakes those that wait for it.
    const isComing = ({ id, required }: Dependency) =>
      !required || sequence.isThere(id) || sequence.steps.get(id)?.isWaiting === true;
    if (sequence.isUp(name) && definition.dependencies.every(isComing)) return;
    sequence.include([name]);
    const stop = new AbortController();
    this.#asked.set(name, stop);
    const isSpare = definition.minIdle > 0 && sequence.tenant === undefined;
    const done = this.#complete(name, stop.signal, isSpare);
    this.#settled = Promise.allSettled([this.#settled, done]).then(() => {});
  }

  /**
   * Callers may have gone. What has a process goes on, since it serves the next one; what only waits for a slot is given up: it would
   * take that from others for nobody.
   */
  review(): void {
    const { steps } = this.#sequence;
    for (const [name, stop] of this.#asked) {
      const step = steps.get(name);
      const isUsed = step !== undefined && (step.isCalled || step.wishes.size > 0);
      if (!isUsed && steps.neededBy(name).some((one) => steps.get(one)?.lacksSlot === true)) stop.abort();
    }
  }

  /** Resolves when what was asked for so far is there, or could not be brought up. */
  async settled(): Promise<void> {
    await this.#settled;
  }

  /** Starts a server for a scope, and what it depends on. Returns why it could not be started. */
  async warm(entry: OpenEntry, scope: LeaseScope): Promise<PoolError | undefined> {
    const { name } = entry;
    const key = reuseKey(entry.definition, scope);
    this.#warms += 1;
    try {
      for (let other = this.#warmed.get(name); other !== undefined; other = this.#warmed.get(name)) {
        if (other.key === key) return await other.outcome;
        // Its values may be wrong: what becomes of it says nothing of these.
        await other.outcome.catch(() => {});
        if (!isOpen(entry) || this.#sequence.isDetached || this.#sequence.allows(entry)) return undefined;
      }
      const outcome = this.#warm(entry, scope).finally(() => this.#warmed.delete(name));
      this.#warmed.set(name, { key, outcome });
      return await outcome;
    } finally {
      this.#warms -= 1;
      this.#sequence.reviewSoon();
    }
  }

  async #warm(entry: OpenEntry, scope: LeaseScope): Promise<PoolError | undefined> {
    this.#sequence.include([entry.name]);
    const forgetWish = this.#sequence.want(entry.name, scope);
    try {
      const timeout = this.#deps.acquireTimeout;
      return this.#failureOf(entry, await this.#start(entry.name, { timeout }));
    } finally {
      forgetWish();
    }
  }

  /** Instances with leases live on after a start that has failed: what they depend on is kept for them again. */
  adopt(): void {
    for (const step of this.#sequence.steps) {
      const entry = this.#deps.fleet.openEntry(step);
      if (entry && step.isUsed && !this.#sequence.needs.isActive(step.name))
        this.#deps.scheduler.run(() => this.bringUp(entry));
    }
  }

  /** A server that is needed could not be started again. What needs it goes on, or waits: it is tried again after a pause. */
  revive(name: string): void {
    const { clock, dueTimes, fleet } = this.#deps;
    const { definition } = fleet.entries.get(name) ?? {};
    const isMissed = () =>
      fleet.isOpen &&
      !this.#sequence.isDetached &&
      this.#sequence.needs.isNeeded(name) &&
      !this.#sequence.needs.isActive(name);
    if (definition === undefined || !isMissed()) return;
    const due = newDue(() => {
      if (isMissed()) void this.#start(name).catch((fault: unknown) => this.#fault(fault));
    });
    dueTimes.set(due, clock.now() + definition.restart.cooldown);
  }

  async #complete(name: string, signal: AbortSignal, isSpare: boolean): Promise<void> {
    let report: SequenceReport | undefined;
    const forgetWish = isSpare ? this.#sequence.want(name, SPARE) : undefined;
    try {
      report = await this.#start(name, { signal });
    } catch (fault) {
      this.#fault(fault);
    }
    forgetWish?.();
    this.#deps.scheduler.run(() => {
      this.#asked.delete(name);
      this.#told(name, report);
      this.#sequence.reviewSoon();
    });
  }

  /** A server, and what it depends on by its definition of now. It may start without what it does not need. */
  #start(name: string, how: Pick<SequenceStartOptions, 'signal' | 'timeout'> = {}): Promise<SequenceReport> {
    const { steps } = this.#sequence;
    const only = [name, ...steps.dependenciesOf(name).map(({ id }) => id)].filter((id) => steps.has(id));
    const terms = { required: steps.neededBy(name), onFailure: 'keep' } as const;
    return this.#sequence.start({ timeout: Infinity, ...how, ...terms, only });
  }

  /** What was asked for is there, or its callers learn why not. */
  #told(name: string, report: SequenceReport | undefined): void {
    const { fleet, queue, recovery, scheduler, starts } = this.#deps;
    const { isDetached, tenant } = this.#sequence;
    const entry = fleet.entries.get(name);
    if (isDetached || !fleet.isOpen || !isOpen(entry) || this.#sequence.allows(entry)) return;
    const isSpare = tenant === undefined && entry.definition.minIdle > 0;
    if (isSpare) starts.spareFailed(entry);
    const error = report && this.#failureOf(entry, report);
    // Aborted: those that wait still ask again.
    if (error === undefined || error.code === 'SEQUENCE_ABORTED') return this.#askAgain(name);
    for (const leaseClass of fleet.classesOf(name, tenant)) {
      for (const waiter of queue.classOf(leaseClass)?.oldest(Infinity) ?? []) scheduler.reject(waiter, error);
    }
    recovery.giveUp(fleet.ofTenant(name, tenant), error);
  }

  /** Why a server cannot be used; undefined when it can, or nothing wants it. */
  #failureOf(entry: OpenEntry, { steps, error }: SequenceReport): PoolError | undefined {
    const { name } = entry;
    const needed = new Set(this.#sequence.steps.neededBy(name));
    const failed = steps.find(({ id, state }) => id !== name && needed.has(id) && isLost(state));
    if (failed !== undefined) {
      const label = this.#deps.fleet.entries.get(failed.id)?.label;
      return dependencyFailed(entry, { name: failed.id, label }, failed.error);
    }
    const own = steps.find(({ id }) => id === name);
    if (own?.state === 'ready' || own?.reason === 'no-slot' || own?.reason === 'unwanted') return undefined;
    return own?.error ?? error;
  }

  #askAgain(name: string): void {
    const { clock, dueTimes } = this.#deps;
    const due = newDue(() => this.#sequence.steps.get(name)?.wake());
    dueTimes.set(due, clock.now() + PAUSE);
  }

  #fault(fault: unknown): void {
    if (!(fault instanceof PoolError)) this.#deps.onFault(fault);
  }
}

function isLost(state: string): boolean {
  return state === 'failed' || state === 'stop-failed';
}

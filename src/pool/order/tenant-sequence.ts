import type { SequenceStartOptions, StopContext } from '../../config/sequence-options.js';
import type { PoolError } from '../../errors.js';
import { reachable } from '../../runtime/graph.js';
import type { Outbox } from '../../runtime/outbox.js';
import { SequenceManager } from '../../sequence/sequence-manager.js';
import type { SequenceReport } from '../../sequence/sequence-report.js';
import type { StepReason } from '../../sequence/step-report.js';
import type { LeaseScope } from '../instances/lease-scope.js';
import type { PooledInstance } from '../instances/pooled-instance.js';
import type { OpenEntry } from '../instances/server-entry.js';
import { notBroughtUp } from '../refusals.js';
import { CallerStarts, type CallerStartsDeps, type SequenceOfTenant } from './caller-starts.js';
import { isActive, Needs } from './needs.js';
import type { OrderedEnds } from './ordered-ends.js';
import { PoolStep } from './pool-step.js';
import { StepSet } from './step-set.js';
import type { EndingStep, PoolStepDeps, StepSurroundings } from './step-surroundings.js';

/** Ends the instances of a step within the end of everything. */
export type StepEnder = (step: EndingStep, how: StopContext) => Promise<void>;

export interface TenantSequenceDeps extends PoolStepDeps, CallerStartsDeps {
  readonly outbox: Outbox;
  readonly ends: OrderedEnds;
  /** What ends everything now; undefined while nothing does. */
  ender(): StepEnder | undefined;
  /** Nothing of it is up any more. */
  onEmpty(sequence: TenantSequence): void;
  /** Definitions have changed, and it can be made anew. */
  onOutdated(sequence: TenantSequence): void;
}

/** Longest time in which what is restarted with a server may end, ms. */
const LONGEST_RESTART = 30_000;

/** Reasons for which a step goes down with what it needed. */
const WITH_DEPENDENCY: ReadonlySet<StepReason | undefined> = new Set(['dependency-exited', 'dependency-failed']);

/** The servers of one tenant that depend on others, or on which others depend, as steps of a {@link SequenceManager}. */
export class TenantSequence implements StepSurroundings, SequenceOfTenant {
  readonly tenant: string | undefined;
  readonly manager: SequenceManager;
  readonly steps: StepSet;
  readonly needs: Needs;
  /** What is brought up for callers. */
  readonly forCallers: CallerStarts;
  readonly #deps: TenantSequenceDeps;
  /** Why each step is being stopped; undefined: it is started again. */
  readonly #reasons = new Map<string, StepReason | undefined>();
  #runs = 0;
  /** Whether it is to be reviewed. */
  #isDirty = false;
  #isOutdated = false;
  #isDetached = false;

  constructor(tenant: string | undefined, deps: TenantSequenceDeps) {
    this.tenant = tenant;
    this.#deps = deps;
    this.steps = new StepSet(deps.fleet);
    this.forCallers = new CallerStarts(this, deps);
    // How many start at the same time, the turns of the pool say: a start that takes long does not keep others waiting.
    this.manager = new SequenceManager([], {}, deps.clock, deps.outbox);
    this.needs = new Needs(this.steps, this.manager, deps);
    this.manager.on('step:stopping', ({ id, reason }) => void this.#reasons.set(id, reason));
    this.manager.on('step:resumed', ({ id }) => this.#wake(id));
    // One that began before a dependency went, and waits for it since.
    this.manager.on('step:ready', ({ id }) => this.#wakeDependents(id));
    for (const event of ['step:stopped', 'step:failed', 'step:skipped'] as const)
      this.manager.on(event, ({ id, reason }) =>
        this.#down(id, event === 'step:failed' || reason === 'dependency-failed'),
      );
  }

  /** Whether another one has taken its place, or its tenant was released. */
  get isDetached(): boolean {
    return this.#isDetached;
  }

  /** Adds what is missing of servers, and of all that they depend on. @throws PoolError `INVALID_OPTIONS` */
  include(names: readonly string[]): void {
    const added = this.steps.missing(names).map((definition) => new PoolStep(definition, this, this.#deps));
    if (added.length === 0) return;
    this.manager.add(added.map(({ step }) => step));
    for (const step of added) this.steps.add(step);
  }

  /** It is to have an instance, though nothing depends on it, and no caller waits: until what is returned is called. */
  want(name: string, scope: LeaseScope | undefined): () => void {
    const wish = { scope };
    const wishes = this.steps.get(name)?.wishes.add(wish);
    return () => void wishes?.delete(wish);
  }

  /** Starts servers that are included. */
  async start(options: SequenceStartOptions): Promise<SequenceReport> {
    this.#assertUsable();
    this.#runs += 1;
    try {
      const report = this.manager.start(options);
      // More may be needed from now on.
      this.reviewSoon();
      return await report;
    } finally {
      this.#runs -= 1;
      this.reviewSoon();
    }
  }

  /** Restarts a server with all that depends on it, in order. */
  async restart(name: string, timeout: number): Promise<void> {
    const steps = reachable(
      [...this.steps].filter((step) => step.name === name),
      (step) => this.steps.dependentsOf(step.name),
    );
    const concerned = [...steps].filter((step) => this.needs.isActive(step.name));
    this.#runs += 1;
    for (const step of concerned) step.isRestarting = true;
    try {
      // What exceeds its share of the time is hurried, so it has an end.
      await this.manager.stop({ only: [name], timeout: Math.min(Math.max(timeout, 1), LONGEST_RESTART) });
    } finally {
      for (const step of concerned) step.isRestarting = false;
      this.#runs -= 1;
    }
    const report = await this.start({ only: concerned.map((step) => step.name), onFailure: 'keep' });
    if (report.error) throw report.error;
  }

  /** A definition was changed or removed. Steps are made anew when what was started by the old one is gone. */
  redefined(name: string): void {
    this.steps.redefined();
    if (!this.steps.has(name)) return;
    this.#isOutdated ||= this.steps.isOutdated(name);
    this.reviewSoon();
  }

  /** Ends nothing, and starts nothing any more. @param keeps whether what is kept for others is so until {@link letGo} */
  detach(keeps: boolean): void {
    this.#isDetached = true;
    const why = notBroughtUp('definitions have changed, or its tenant was released');
    for (const step of this.steps) step.drop(why, keeps);
    void this.manager.stop({ mode: 'emergency' }).catch((fault: unknown) => this.#deps.onFault(fault));
  }

  /** Lets go of what is not kept by the sequence that was made in its place. */
  letGo(next: TenantSequence): void {
    this.#deps.scheduler.run(() => {
      for (const step of this.steps) step.letGo(next.steps.get(step.name));
    });
  }

  /** Whether a server has an instance that can be used, and that goes on. */
  isThere(name: string): boolean {
    const followed = this.steps.get(name)?.followed;
    return followed !== undefined && this.isOurs(followed) && this.isUp(name);
  }

  /** Whether a server may be started: its step says so, and what it depends on is there. */
  allows({ name, definition }: OpenEntry): boolean {
    const state = this.steps.has(name) ? this.manager.stateOf(name) : 'idle';
    if (state !== 'starting' && state !== 'started' && state !== 'ready') return false;
    return definition.dependencies.every(
      ({ id, condition, required }) =>
        !required ||
        this.isThere(id) ||
        (condition === 'started' && this.steps.has(id) && this.manager.stateOf(id) === 'started'),
    );
  }

  /** What keeps a server from being started. */
  missing(name: string): string[] {
    return this.steps.dependenciesOf(name).flatMap(({ id }) => (this.isThere(id) ? [] : id));
  }

  /** Lets go of what nothing needs any more, when what happens now is over. */
  reviewSoon(): void {
    if (this.#isDirty) return;
    this.#isDirty = true;
    this.#deps.outbox.push(() => {
      this.#isDirty = false;
      this.#deps.scheduler.run(() => this.#review());
    });
  }

  #review(): void {
    if (this.#isDetached) return;
    const isQuiet = this.#runs === 0 && !this.forCallers.isBusy;
    let isBusy = !isQuiet;
    const needed = this.needs.names();
    for (const step of this.steps) {
      const { name } = step;
      const state = this.manager.stateOf(name);
      isBusy ||= isActive(state);
      if (state !== 'ready' && state !== 'held') continue;
      const isNeeded = needed.has(name);
      step.setNeeded(isNeeded);
      if (!isNeeded && !step.isUsed && this.#runs === 0 && !step.isReleasing) void this.#release(step);
    }
    this.forCallers.review();
    if (!isBusy) this.#deps.onEmpty(this);
    else if (this.#isOutdated && isQuiet && !this.steps.hasOldInstances) this.#deps.onOutdated(this);
  }

  // For its steps.

  isOurs({ state, tenant }: PooledInstance): boolean {
    return state === 'ready' && tenant === this.tenant;
  }

  exited(name: string, cause: PoolError): void {
    if (!this.#isDetached) this.manager.exited(name, cause);
  }

  arrived(name: string): void {
    for (const dependent of this.steps.dependentsOf(name)) dependent.wake();
    this.reviewSoon();
  }

  idle(): void {
    this.reviewSoon();
  }

  async end(step: EndingStep, how: StopContext): Promise<void> {
    if (this.#isDetached || step.isReleasing) return;
    const { ends, ender } = this.#deps;
    const endWithAll = ender();
    if (endWithAll) return endWithAll(step, how);
    const { instances } = step;
    const reason = this.#reasons.get(step.name);
    // An attempt that has failed: others may have instances of their own.
    if (!step.wasUp && !step.isRestarting) return this.clear(step, how);
    step.comesBack ||= instances.length > 0 && (step.isRestarting || reason === undefined);
    if (step.isRestarting)
      return ends.restart(instances, 'it was restarted with a server that it depends on', how, true);
    if (reason === undefined) return ends.restart(instances, DEPENDENCY_ENDED, how, false);
    if (WITH_DEPENDENCY.has(reason)) return ends.stop(instances, DEPENDENCY_ENDED, how);
    return this.clear(step, how);
  }

  async clear(step: EndingStep, how?: StopContext): Promise<void> {
    const { ends, ender } = this.#deps;
    if (this.#isDetached) return;
    const endWithAll = ender();
    if (endWithAll) return endWithAll(step, how ?? { mode: 'graceful', signal: new AbortController().signal });
    // What depends on it may have leases, and lives on: then so does this one.
    if (!this.steps.dependentsOf(step.name).some(({ own }) => own.areAlive)) await ends.clear(step.instances, how);
  }

  /** It is down at once, so that nothing is started for it any more. */
  async #release(step: PoolStep): Promise<void> {
    step.isReleasing = true;
    try {
      await this.manager.stop({ only: [step.name] });
    } catch (fault) {
      this.#deps.onFault(fault);
    }
    step.isReleasing = false;
    this.reviewSoon();
  }

  /** A step is down: what waits for it asks again, and learns why. */
  #down(name: string, isFailure: boolean): void {
    if (isFailure) this.forCallers.revive(name);
    this.#wakeDependents(name);
    this.#wake(name);
    this.reviewSoon();
  }

  #wakeDependents(name: string): void {
    for (const step of this.steps.dependentsOf(name)) this.#wake(step.name);
  }

  #wake(name: string): void {
    if (!this.#isDetached) this.#deps.scheduler.run(() => this.steps.get(name)?.wake());
  }

  /** Whether its step says that it can be used. */
  isUp(name: string): boolean {
    const state = this.steps.has(name) ? this.manager.stateOf(name) : 'idle';
    return state === 'ready' || state === 'held';
  }

  #assertUsable(): void {
    if (this.#isDetached || !this.#deps.fleet.isOpen)
      throw notBroughtUp('the pool was shut down, or its tenant was released');
  }
}

const DEPENDENCY_ENDED = 'a server that it depends on has ended';

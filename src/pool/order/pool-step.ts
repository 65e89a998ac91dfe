import type { ResolvedDefinition } from '../../config/options.js';
import type { SequenceStep, StepResult, StopContext } from '../../config/sequence-options.js';
import { PoolError, type PoolErrorCode, shownName } from '../../errors.js';
import { deferred } from '../../runtime/deferred.js';
import { END_MEANING, type EndReason } from '../../server/end-reason.js';
import type { PooledInstance } from '../instances/pooled-instance.js';
import { isOpen } from '../instances/server-entry.js';
import { provenHealthy } from './proof.js';
import type { Arrival, PoolStepDeps, StepSurroundings, Wish } from './step-surroundings.js';
import { TenantInstances } from './tenant-instances.js';

/**
 * One server of one tenant, as a step of its sequence. It is up as long as it has an instance that can be used: one of them is
 * followed. What depends on it keeps that one from being ended for idleness or for its slot.
 */
export class PoolStep {
  readonly name: string;
  readonly definition: ResolvedDefinition;
  readonly #deps: PoolStepDeps;
  readonly #around: StepSurroundings;
  readonly own: TenantInstances;
  /** Calls that want it to have an instance, though nothing depends on it. */
  readonly wishes = new Set<Wish>();
  /** Whether it had one, and is started again. */
  comesBack = false;
  /** Whether it goes down only because nothing needs it: its instances stay. */
  isReleasing = false;
  /** Whether it goes down to be started again. */
  isRestarting = false;
  /** Whether it has had an instance that could be used, since it was begun last. */
  wasUp = false;
  #followed: PooledInstance | undefined;
  #arrival: Arrival | undefined;
  /** Of the last wait. */
  #outcome: Promise<void> = Promise.resolve();
  #isStopping = false;
  /** Whether what it has followed stays protected when it is dropped. */
  #keeps = false;

  constructor(definition: ResolvedDefinition, around: StepSurroundings, deps: PoolStepDeps) {
    this.name = definition.name;
    this.definition = definition;
    this.#around = around;
    this.own = new TenantInstances(deps.fleet, definition.name, around.tenant);
    this.#deps = deps;
  }

  get step(): SequenceStep {
    const { dependencies, required, onDependencyExit, sharing, onCrash } = this.definition;
    return {
      id: this.name,
      dependsOn: Object.fromEntries(dependencies.map(({ id, ...how }) => [id, how])),
      required,
      onDependencyExit,
      recovers: sharing === 'shared' && onCrash === 'restart',
      // It is started again after it has ended. Whether that may be done again and again, its breaker knows.
      retries: 1,
      start: (signal) => this.#start(signal),
      ready: () => this.#outcome,
      healthy: (signal) => provenHealthy(() => this.#followed?.id, signal, this.#deps),
      stop: (how) => this.#stop(how),
    };
  }

  /** The instance that shows that it is up; undefined while another one is awaited. */
  get followed(): PooledInstance | undefined {
    return this.#followed;
  }

  /** Whether it waits for an instance. */
  get isWaiting(): boolean {
    return this.#arrival !== undefined;
  }

  /** Whether it waits for one for which no slot is taken yet. */
  get lacksSlot(): boolean {
    return this.isWaiting && !this.own.isStarting;
  }

  /** Whether it has instances, or callers other than the one that stands for it. */
  get isCalled(): boolean {
    return this.own.areCalled(this.#arrival?.caller?.queuedIn?.leaseClass);
  }

  /** Whether what it has works with what it depends on. */
  get isUsed(): boolean {
    return this.definition.dependencies.length > 0 && this.own.areAlive;
  }

  get instances(): PooledInstance[] {
    return this.own.all;
  }

  /** Something depends on it, or does no more. */
  setNeeded(isNeeded: boolean): void {
    const { clock, idleWatch } = this.#deps;
    if (this.#followed) idleWatch.setNeeded(this.#followed, isNeeded, clock.now());
    else if (isNeeded && !this.isWaiting) this.#renew();
  }

  /** What it depends on is there again: starts that wait for that may be made. */
  wake(): void {
    const { fleet, recovery } = this.#deps;
    for (const leaseClass of this.own.classes) fleet.changed(leaseClass);
    recovery.redefined({ instances: new Set(this.instances) });
  }

  /** Waits for nothing any more, and lets go of what it has. @param keeps whether that stays protected until {@link letGo} */
  drop(why: PoolError, keeps = this.#keeps): void {
    this.#keeps = keeps;
    this.#fail(why);
    if (!keeps) this.#follow(undefined);
  }

  /** After {@link drop}: unless another step follows it. */
  letGo(other: PoolStep | undefined): void {
    if (this.#followed === other?.followed) this.#followed = undefined;
    else this.#follow(undefined);
  }

  // What happens to instances of its server and tenant. Within an operation.

  spawned(): void {
    this.#arrival?.spawned.resolve();
  }

  /** @param isUp whether the step is up: then it follows the one that has come for callers */
  ready(instance: PooledInstance, isUp: boolean): void {
    if (this.#arrival) this.#arrived(instance);
    else if (isUp && this.#followed === undefined) this.#follow(instance);
  }

  failed(error: PoolError): void {
    if (this.#arrival) this.#arrival.failure = error;
  }

  ending(instance: PooledInstance, reason: EndReason): void {
    if (instance !== this.#followed) return;
    this.#follow(undefined);
    if (this.#isStopping || !this.#deps.fleet.isOpen) return;
    const isNeeded = this.#around.needs.isNeeded(this.name);
    if (isNeeded && !END_MEANING[reason].asked) {
      this.#around.exited(this.name, instance.error('SERVER_EXITED', `has ended (${reason})`));
      return;
    }
    this.#goOn(instance, isNeeded);
  }

  /** Another one takes the place of an instance. */
  #goOn(instance: PooledInstance, isNeeded: boolean): void {
    const other = this.own.find(instance);
    if (other) this.#follow(other);
    else if (isNeeded) this.#renew();
    else this.#around.idle();
  }

  /** Starts may have failed, or may not be made: it asks for one itself, or gives up. */
  look(): void {
    const followed = this.#followed;
    if (followed && !this.#around.isOurs(followed)) {
      // A caller of another tenant has got it.
      this.#followed = undefined;
      this.#goOn(followed, this.#around.needs.isNeeded(this.name));
    }
    const arrival = this.#arrival;
    if (arrival === undefined) return;
    const ready = this.own.find();
    if (ready) return this.#arrived(ready);
    if (arrival.caller !== undefined || this.own.comes) return;
    if (arrival.failure) return this.#fail(arrival.failure);
    const why = this.#ask(arrival);
    if (why !== undefined) this.#fail(this.#error('STEP_FAILED', `was not started: ${why}`));
  }

  // As a step.

  async #start(signal: AbortSignal): Promise<StepResult> {
    const { scheduler } = this.#deps;
    const { skipped, arrival } = scheduler.run(() => this.#begin());
    if (skipped !== undefined) return { skipped };
    if (arrival === undefined) return {};
    const abort = () => scheduler.run(() => this.#fail(this.#error('SEQUENCE_ABORTED', 'is not started any more')));
    signal.addEventListener('abort', abort, { once: true });
    if (signal.aborted) abort();
    try {
      await arrival.spawned.promise;
      return {};
    } catch (error) {
      // Nothing of it may be left.
      await this.#around.clear(this);
      throw error;
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }

  #begin(): { readonly skipped?: string; readonly arrival?: Arrival } {
    this.wasUp = false;
    this.wake();
    const ready = this.own.find();
    if (ready) {
      this.#follow(ready);
      this.#outcome = Promise.resolve();
      this.#around.arrived(this.name);
      return {};
    }
    const arrival = this.#await(false);
    this.#outcome = arrival.ready.promise;
    if (this.instances.some(({ pid, state }) => pid !== undefined && state === 'starting')) arrival.spawned.resolve();
    const skipped = this.own.comes ? undefined : this.#ask(arrival);
    if (skipped === undefined) return { arrival };
    this.#fail(this.#error('STEP_FAILED', `was not started: ${skipped}`));
    return { skipped };
  }

  async #stop(how: StopContext): Promise<void> {
    const { scheduler } = this.#deps;
    this.#isStopping = true;
    try {
      scheduler.run(() => this.#fail(this.#error('SEQUENCE_ABORTED', 'is being stopped')));
      await this.#around.end(this, how);
    } finally {
      this.#isStopping = false;
      // Protected until now: what depends on it might have lived on.
      if (!this.#keeps) scheduler.run(() => this.#follow(undefined));
    }
  }

  // The wait for an instance.

  /** The step stays up, and gets another instance. */
  #renew(): void {
    const arrival = this.#await(true);
    const ready = this.own.find();
    if (ready) return this.#arrived(ready);
    if (!this.own.comes) this.#ask(arrival);
  }

  #await(isRenewal: boolean): Arrival {
    const wait = { spawned: deferred<void>(), ready: deferred<void>() };
    const arrival: Arrival = { ...wait, caller: undefined, failure: undefined, isRenewal };
    // One that is not asked for its outcome any more may fail.
    for (const { promise } of [arrival.spawned, arrival.ready]) promise.catch(() => {});
    this.#arrival = arrival;
    return arrival;
  }

  /** Waits in the queue, as a caller does. Returns why it does not. */
  #ask(arrival: Arrival): string | undefined {
    const { fleet, scheduler } = this.#deps;
    const entry = fleet.entries.get(this.name);
    if (!isOpen(entry) || !fleet.isOpen) return 'closed';
    const isNeeded = this.#around.needs.isNeeded(this.name);
    const [wish] = this.wishes;
    if (!isNeeded && wish === undefined && !this.comesBack) return 'unwanted';
    if (!isNeeded && !this.#around.needs.hasSlotFor(entry)) return 'no-slot';
    arrival.caller = scheduler.instanceWaits.add(entry, {
      ...{ tenant: this.#around.tenant, scope: isNeeded ? undefined : wish?.scope },
      ...{ signal: undefined, reuseLease: false },
      timeout: this.#around.needs.patience(this.name),
      onInstance: (instance) => this.#arrived(instance),
      onFailed: (error) => this.#fail(error),
    });
    return undefined;
  }

  #arrived(instance: PooledInstance): void {
    const arrival = this.#arrival;
    this.#arrival = undefined;
    this.comesBack = false;
    if (arrival?.caller) this.#deps.scheduler.instanceWaits.withdraw(arrival.caller);
    this.#follow(instance);
    arrival?.spawned.resolve();
    arrival?.ready.resolve();
    this.#around.arrived(this.name);
  }

  #fail(error: PoolError): void {
    const arrival = this.#arrival;
    if (arrival === undefined) return;
    this.#arrival = undefined;
    if (arrival.caller) this.#deps.scheduler.instanceWaits.withdraw(arrival.caller);
    arrival.spawned.reject(error);
    arrival.ready.reject(error);
    if (arrival.isRenewal && !this.#isStopping) this.#around.exited(this.name, error);
  }

  #follow(instance: PooledInstance | undefined): void {
    const { clock, idleWatch } = this.#deps;
    if (this.#followed) idleWatch.setNeeded(this.#followed, false, clock.now());
    this.#followed = instance;
    if (instance) this.wasUp = true;
    if (instance) idleWatch.setNeeded(instance, this.#around.needs.isNeeded(this.name), clock.now());
  }

  #error(code: PoolErrorCode, what: string): PoolError {
    const { name, label } = this.definition;
    return new PoolError(code, `server '${shownName(this.definition)}' ${what}`, { name, label });
  }
}

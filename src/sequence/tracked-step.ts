import type { ResolvedStep } from '../config/resolve-sequence.js';
import type { PoolError } from '../errors.js';
import { type Due, newDue } from '../runtime/due-times.js';
import type { HeapItem } from '../runtime/heap.js';
import type { Attempt } from './attempt.js';
import type { Edge, Milestone, Needed } from './edge.js';
import type { StepReason, StepReport, StepStatus, StepWait } from './step-report.js';
import { isOver, isThere, isUp, type StepState, type StepTransition, stateAfter } from './step-state.js';
import { StepTimes } from './step-times.js';
import type { TakeDown } from './take-down.js';

/** Why a step is in its state. */
export interface Cause {
  readonly reason: StepReason;
  readonly error?: PoolError | undefined;
}

/** What becomes of a step when nothing of it is left; `again`: it waits, at least for `delay` ms. */
export type Outcome =
  | (Cause & { readonly next: 'gone' | 'fail' | 'skip' })
  | { readonly next: 'again'; readonly delay: number };

/** A step that is to be ended. */
export interface Leaving {
  outcome: Outcome;
  takeDown: TakeDown<TrackedStep>;
  readonly since: number;
  /** When it is given up; undefined before its end has begun. */
  giveUpAt?: number | undefined;
  isHurried: boolean;
}

/** One step with its edges and its times. It decides nothing, and is fed clock times, in ms. */
export class TrackedStep implements Needed, HeapItem {
  readonly step: ResolvedStep;
  /** Those with the lower one are begun first. */
  priority = 0;
  rank = 0;
  place = -1;
  /** When something of it is over. */
  readonly due: Due;
  attempt: Attempt | undefined;
  /** How many dependents are to be ended before it. */
  leavingDependents = 0;
  /** Failed attempts in a row; why the last one has failed. Undefined when it is ready. */
  failures = 0;
  lastFailure: Cause | undefined;
  /** Whether it is one of those that are starting. */
  hasPlace = false;
  /** Whether it waits for the time at which it is tried again. */
  rests = false;
  /** Whether it should be up. */
  isWanted = false;
  #needs: readonly Edge<TrackedStep>[] = [];
  readonly #dependents: Edge<TrackedStep>[] = [];
  #unmet = 0;
  #state: StepState = 'idle';
  #isHealthy = false;
  #leaving: Leaving | undefined;
  #cause: Cause | undefined;
  readonly #times = new StepTimes();
  #changedAt = 0;

  /** @param look called when it is due */
  constructor(step: ResolvedStep, look: (now: number) => void) {
    this.step = step;
    this.due = newDue(look);
  }

  get id(): string {
    return this.step.id;
  }

  /** What it depends on. */
  get needs(): readonly Edge<TrackedStep>[] {
    return this.#needs;
  }

  /** What depends on it. */
  get dependents(): readonly Edge<TrackedStep>[] {
    return this.#dependents;
  }

  /** How many of its needs are not met. */
  get unmet(): number {
    return this.#unmet;
  }

  get state(): StepState {
    return this.#state;
  }

  get leaving(): Leaving | undefined {
    return this.#leaving;
  }

  get isLeaving(): boolean {
    return this.#leaving !== undefined;
  }

  get milestone(): Milestone {
    if (isUp(this.#state)) return this.#isHealthy ? 'healthy' : 'ready';
    return this.#state === 'started' ? 'started' : 'none';
  }

  /** Whether it is there, or comes, and is not to be ended. */
  get isAlive(): boolean {
    return isThere(this.#state) && this.#state !== 'stop-failed' && this.#leaving === undefined;
  }

  /** Whether it waits for nothing but a place. */
  get isFree(): boolean {
    return this.#unmet === 0 && this.leavingDependents === 0 && !this.rests;
  }

  /** Whether something is under way with it. */
  get isOpen(): boolean {
    return this.#leaving !== undefined || ['waiting', 'starting', 'started', 'stopping'].includes(this.#state);
  }

  get attempts(): number {
    return this.#times.attempts;
  }

  get cause(): Cause | undefined {
    return this.#cause;
  }

  /** Since when it is in its state. */
  get changedAt(): number {
    return this.#changedAt;
  }

  /** For how long it has been up, at `now`. */
  uptime(now: number): number {
    return isUp(this.#state) ? this.#times.uptime(now) : 0;
  }

  connect(needs: readonly Edge<TrackedStep>[]): void {
    this.#needs = needs;
    for (const edge of needs) {
      edge.to.#dependents.push(edge);
      edge.isMet = edge.holds;
      if (!edge.isMet) this.#unmet += 1;
    }
  }

  disconnect(): void {
    for (const edge of this.#needs) edge.to.#dependents.splice(edge.to.#dependents.indexOf(edge), 1);
  }

  /** The one place where the state changes. False when the transition does not apply. */
  take(transition: StepTransition, now: number, cause?: Cause): boolean {
    const before = this.#state;
    const next = stateAfter(before, transition);
    if (next === undefined) return false;
    this.#state = next;
    this.#changedAt = now;
    this.#cause = cause;
    if (transition === 'want') this.#reset();
    if (next === 'waiting') this.#times.wait(now);
    else if (next === 'starting') this.#times.begin(now);
    else if (next === 'ready') this.#arrive(now);
    else if (next === 'stopping' && this.#leaving?.outcome.next === 'gone') this.#times.goDown(now);
    else if (isOver(next)) this.#times.end(now);
    if (!isUp(next)) this.#isHealthy = false;
    return true;
  }

  /** It is proven to work. */
  prove(): void {
    this.#isHealthy = isUp(this.#state);
  }

  leave(leaving: Leaving): void {
    this.#leaving = leaving;
    for (const { to } of this.needs) to.leavingDependents += 1;
  }

  /** It is gone, or given up. */
  left(now: number): Leaving | undefined {
    const leaving = this.#leaving;
    this.#leaving = undefined;
    if (leaving === undefined) return undefined;
    for (const { to } of this.needs) {
      to.leavingDependents -= 1;
      if (to.leavingDependents === 0) to.#freed('dependents', leaving.since, now);
    }
    return leaving;
  }

  /** The step at the end of an edge has changed. */
  look(edge: Edge<TrackedStep>, now: number): void {
    const { holds } = edge;
    if (holds === edge.isMet) return;
    edge.isMet = holds;
    this.#unmet += holds ? -1 : 1;
    if (!holds) return;
    edge.metAt = now;
    this.#freed('step', -Infinity, now, edge.to.id);
  }

  /** The pause between two attempts is over. */
  rested(now: number): void {
    this.rests = false;
    this.#freed('backoff', -Infinity, now);
  }

  report(now: number): StepReport {
    const { id, state, attempts } = this;
    const duration = this.#times.duration(now);
    const waitedFor = this.#times.waitedFor();
    return { id, state, attempts, duration, waitedFor, reason: this.#cause?.reason, error: this.#cause?.error };
  }

  status(now: number): StepStatus {
    const { required, dependencies } = this.step;
    const dependsOn = dependencies.map(({ id }) => id);
    return { ...this.report(now), required, dependsOn, waitsFor: this.waitsFor(now) };
  }

  /** What it waits for now. */
  waitsFor(now: number): StepWait[] {
    const since = (at: number) => Math.round(now - at);
    if (this.#leaving !== undefined && this.leavingDependents > 0)
      return [{ on: 'dependents', duration: since(this.#leaving.since) }];
    if (this.#state !== 'waiting') return [];
    const duration = since(this.#times.waitingSince);
    const waits: StepWait[] = this.needs
      .filter(({ isMet }) => !isMet)
      .map(({ to }) => ({ on: 'step', id: to.id, duration }));
    if (this.leavingDependents > 0) waits.push({ on: 'dependents', duration });
    if (this.rests) waits.push({ on: 'backoff', duration });
    return waits.length > 0 ? waits : [{ on: 'place', duration: since(this.#times.freeSince) }];
  }

  /** It has one thing less to wait for. @param since since when it had to, if that is later than it waits */
  #freed(on: StepWait['on'], since: number, now: number, id?: string): void {
    if (this.#state === 'waiting') this.#times.freed(on, since, now, id);
  }

  #reset(): void {
    this.failures = 0;
    this.lastFailure = undefined;
    this.#times.reset();
  }

  #arrive(now: number): void {
    this.lastFailure = undefined;
    this.#times.arrive(now);
  }
}

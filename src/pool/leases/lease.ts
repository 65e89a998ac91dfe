import type { Readable } from 'node:stream';
import { inspect } from 'node:util';
import { namesOf, PoolError, shownName } from '../../errors.js';
import type { CleanupReport } from '../../process/cleanup-queue.js';
import type { ObservedRequest } from '../../protocol/request-observer.js';
import type { PooledTransport, Session, SessionCallbacks, SessionEnd } from '../../protocol/session.js';
import type { Clock } from '../../runtime/clock.js';
import { type Deferred, deferred } from '../../runtime/deferred.js';
import type { KeepAlive } from '../../runtime/keep-alive.js';
import type { Outbox } from '../../runtime/outbox.js';
import { type Inspect, shown } from '../../runtime/shown.js';
import type { ScopeLabels } from '../instances/lease-scope.js';
import type { LeaseNode, PooledInstance } from '../instances/pooled-instance.js';

/** A lease, as `getServer()` returns it: the right to talk to an instance until the host releases it or the pool ends it. */
export interface PooledServer {
  /** `lease-…`; stays the same for the life of the lease. */
  readonly id: string;
  /** Name of the server. */
  readonly name: string;
  /** `mcp-<timestamp>-<sequence>`: the process tree behind the lease. Changes when the server is restarted or replaced. */
  readonly instanceId: string;
  /** Pid of the process that was spawned: of `npx` itself, if `npx` starts the server. Changes with `instanceId`. */
  readonly pid: number | undefined;
  /** As given to `getServer()`. */
  readonly tenant: string | undefined;
  /** As given to `getServer()`. */
  readonly owner: string | undefined;
  /**
   * For `client.connect()` of an SDK v1 or v2 client. Closing it ends the lease, for all of its holders.
   * @throws PoolError why the lease ended (`LEASE_RELEASED`, …), when that was before the first use of the transport
   */
  readonly transport: PooledTransport;
  /**
   * Raw stderr of a `dedicated` server; undefined for others. The pool reads it, too. A listener that is added in the turn of
   * the event loop in which `getServer()` resolves gets every byte. Do not pause it: a server that writes much would block.
   */
  readonly stderr: Readable | undefined;
  /**
   * Gives the server back at once. With `reuseLease` the lease ends when each of its holders has released it. Returns false
   * when the lease had ended already, or this holder had released it.
   */
  release(): boolean;
  /**
   * Resolves when the lease has ended. If its process ends with it, resolves with the cleanup report when the death is proven
   * or given up; if the process is kept for another lease, with undefined. Whether it is may be known only after `giveUpGrace`,
   * when a request was given up. Once the lease has ended, a pending `ended` keeps the host alive. Never rejects.
   */
  readonly ended: Promise<CleanupReport | undefined>;
  /** Calls {@link release}, and awaits {@link ended} unless others hold the lease: for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
  /** What `JSON.stringify` writes, and `console.log` shows: id, server, instance, pid, tenant and owner. */
  toJSON(): object;
}

/** Implemented by the scheduler. */
export interface LeaseCallbacks {
  /** A lease ends: calls its {@link Lease.over}. */
  leaseEnded(lease: Lease, end: SessionEnd): void;
}

export interface LeaseDeps {
  readonly outbox: Outbox;
  readonly keepAlive: KeepAlive;
  readonly clock: Clock;
  readonly callbacks: LeaseCallbacks;
}

let sequence = 0;

export class Lease implements PooledServer, SessionCallbacks, SessionEnd, LeaseNode {
  // Copied: the scope may be the waiting call, which must not stay in memory with the lease.
  readonly tenant: string | undefined;
  readonly owner: string | undefined;
  /** Unique in this process. */
  readonly number = ++sequence;
  /** Index in the table of leases. */
  readonly place: number;
  /** Clock time at which it was given out. */
  readonly acquiredAt: number;
  /** The leases on the same instance before and after it. */
  before: LeaseNode | undefined;
  after: LeaseNode | undefined;
  /** Whether it was silent for `leaseIdleTimeout` when it was looked at last. */
  isSilent = false;
  /** Whether `lease:leaked` was emitted. */
  isLeakReported = false;
  /** Where `getServer()` was called; only with `leakDetection`. */
  readonly stack: string | undefined;
  /** Clock time of its last message. */
  #lastMessage: number | undefined;
  readonly #deps: LeaseDeps;
  /** Private, so that a lease in a log does not show the environment of its server. */
  #instance: PooledInstance;
  #session: Session | undefined;
  /** How many have not released it: one, or with `reuseLease` several. */
  #holders = 1;
  #isReleased = false;
  #end: SessionEnd | undefined;
  #outcome: Promise<CleanupReport | undefined> | undefined;
  #ended: Deferred<CleanupReport | undefined> | undefined;

  constructor(
    deps: LeaseDeps,
    place: number,
    instance: PooledInstance,
    scope: ScopeLabels,
    now: number,
    stack: string | undefined,
  ) {
    this.#deps = deps;
    this.place = place;
    this.#instance = instance;
    this.tenant = scope.tenant;
    this.owner = scope.owner;
    this.acquiredAt = now;
    this.stack = stack;
  }

  get id(): string {
    return `lease-${this.number}-${this.place}`;
  }

  get instance(): PooledInstance {
    return this.#instance;
  }

  get name(): string {
    return this.#instance.name;
  }

  get instanceId(): string {
    return this.#instance.id;
  }

  get pid(): number | undefined {
    return this.#instance.pid;
  }

  /** Number of its requests that are not answered. */
  get openRequests(): number {
    return this.#session?.openRequests ?? 0;
  }

  /** Its requests that are not answered. */
  requests(): Iterable<ObservedRequest> {
    return this.#session?.requests() ?? [];
  }

  get transport(): PooledTransport {
    if (this.#session === undefined) {
      if (this.#end) throw this.#end.error();
      this.#session = this.#instance.openSession(this);
    }
    return this.#session;
  }

  get stderr(): Readable | undefined {
    return this.#instance.stderr;
  }

  get ended(): Promise<CleanupReport | undefined> {
    if (this.#ended === undefined) {
      this.#ended = deferred();
      if (this.#end) this.#settle(this.#ended);
    }
    return this.#ended.promise;
  }

  release(): boolean {
    if (this.#isReleased) return false;
    this.#isReleased = true;
    return this.drop();
  }

  /** It has one more holder. */
  hold(): void {
    this.#holders += 1;
    this.touched();
  }

  /** One of its holders has released it: the last one ends it. */
  drop(): boolean {
    if (this.#end) return false;
    this.#holders -= 1;
    return this.#holders > 0 || this.end(this);
  }

  /** Whether it has ended. */
  get isOver(): boolean {
    return this.#end !== undefined;
  }

  /** As `SessionEnd`: the host asks for this end. */
  get asked(): boolean {
    return true;
  }

  /** As `SessionEnd`: the error of its transport after `release()`. Made only when the transport is used. */
  error(): PoolError {
    const { id, instance, instanceId } = this;
    const message = `the lease ${id} on server '${shownName(instance)}' was released; get another with getServer()`;
    return new PoolError('LEASE_RELEASED', message, { ...namesOf(instance), leaseId: id, instanceId });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.release();
    if (this.isOver) await this.ended;
  }

  toJSON(): object {
    const { id, name, instanceId, pid, tenant, owner } = this;
    return { id, name, instanceId, pid, tenant, owner, ended: this.isOver };
  }

  [inspect.custom](depth: number, options: object, show: Inspect): string {
    return shown('PooledServer', this.toJSON(), depth, options, show);
  }

  /** Ends the lease; its transport rejects with `end.error()` from now on. False when it has ended already. */
  end(end: SessionEnd): boolean {
    if (this.#end) return false;
    this.#end = end;
    this.#deps.callbacks.leaseEnded(this, end);
    return true;
  }

  /**
   * Called within the operation that ends it: no listener sees a lease that has ended and does not know this.
   * @param outcome the end of its process, if that ends with it
   */
  setOutcome(outcome: Promise<CleanupReport | undefined> | undefined): void {
    this.#outcome = outcome;
    if (this.#ended) this.#settle(this.#ended);
  }

  /** Clock time of its last message, or of its start. */
  get lastActivity(): number {
    return this.#lastMessage ?? this.acquiredAt;
  }

  /** For how long it has been silent, in ms; 0 while a request is open, since its server is busy then. */
  silence(now: number): number {
    return this.openRequests > 0 ? 0 : now - this.lastActivity;
  }

  /** It has another instance from now on. Called by `LeaseManager` only, which counts the leases of both instances. */
  moveTo(instance: PooledInstance): void {
    this.#instance = instance;
  }

  /** Closes its transport, if it was used. */
  closeSession(end: SessionEnd): void {
    this.#session?.end(end);
  }

  get outbox(): Outbox {
    return this.#deps.outbox;
  }

  closeRequested(): void {
    this.end(this);
  }

  touched(): void {
    this.#lastMessage = this.#deps.clock.now();
  }

  /** The host waits for the end of a process: that keeps it alive. */
  #settle(ended: Deferred<CleanupReport | undefined>): void {
    ended.resolve(this.#outcome && this.#deps.keepAlive.during(this.#outcome));
  }
}

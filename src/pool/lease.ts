import type { Readable } from 'node:stream';
import { PoolError } from '../errors.js';
import type { CleanupReport } from '../process/cleanup-queue.js';
import type { PooledTransport, Session, SessionCallbacks, SessionEnd } from '../protocol/session.js';
import type { Clock } from '../runtime/clock.js';
import { type Deferred, deferred } from '../runtime/deferred.js';
import type { KeepAlive } from '../runtime/keep-alive.js';
import type { ServerInstance } from '../server/server-instance.js';
import type { Whose } from './whose.js';

/** The right to talk to an instance, as `getServer()` returns it. */
export interface PooledServer {
  /** `lease-…`; stays the same for the life of the lease. */
  readonly id: string;
  /** Name of the server. */
  readonly name: string;
  /** `mcp-<timestamp>-<sequence>`: the process tree behind the lease. Another one when the server was restarted. */
  readonly instanceId: string;
  /** Pid of the process that was spawned: of `npx` itself, if the server is started by it. Follows a restart, too. */
  readonly pid: number | undefined;
  readonly tenant: string | undefined;
  readonly owner: string | undefined;
  /**
   * For `client.connect()` of an SDK v1 or v2 client. Closing it releases the lease.
   * @throws PoolError `LEASE_RELEASED` when the lease ended and the transport was never used
   */
  readonly transport: PooledTransport;
  /**
   * Raw stderr of a `dedicated` server, else undefined. The pool reads it, too: whoever listens in the turn in which
   * `getServer()` resolves gets every byte; a listener that pauses it blocks a server that writes much.
   */
  readonly stderr: Readable | undefined;
  /** Gives the server back, at once. False when that was done already. */
  release(): boolean;
  /**
   * Resolves when the lease has ended and, if its process ended with it, that is proven: with the cleanup report then, and
   * with undefined when the process lives on. Once released, it holds the host open. Never rejects.
   */
  readonly ended: Promise<CleanupReport | undefined>;
  /** Releases, and awaits {@link ended}: for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** What a lease needs of the pool. */
export interface LeaseHost {
  readonly hold: KeepAlive;
  readonly clock: Clock;
  /** Takes the instance back; returns the end of its process, if it ends. */
  leaseEnded(lease: Lease, end: SessionEnd): Promise<CleanupReport | undefined> | undefined;
}

let sequence = 0;

const ID_PREFIX = 'lease-';

export class Lease implements PooledServer, SessionCallbacks {
  /** Unique in this process. Leases are kept by it: a number is found faster than the text of the id. */
  readonly number = ++sequence;
  /** Clock time at which it was given out. */
  readonly acquiredAt: number;
  /** Whether `lease:leaked` was told. */
  leakTold = false;
  readonly #host: LeaseHost;
  /** Clock time of its last message, or of its begin. */
  lastActivity: number;
  /** Private, so that a lease that is logged does not show the environment of its server. */
  #instance: ServerInstance;
  readonly #holder: Whose;
  /** Where the borrower stood, when leak detection is on. */
  readonly stack: string | undefined;
  #session: Session | undefined;
  #end: SessionEnd | undefined;
  /** Whether its outcome is known: not yet while its client is told of the end. */
  #over = false;
  #outcome: Promise<CleanupReport | undefined> | undefined;
  #ended: Deferred<CleanupReport | undefined> | undefined;

  constructor(host: LeaseHost, instance: ServerInstance, holder: Whose, now: number, stack: string | undefined) {
    this.#host = host;
    this.#instance = instance;
    this.#holder = holder;
    this.acquiredAt = now;
    this.lastActivity = now;
    this.stack = stack;
  }

  /** The number of the lease of an id, or NaN. */
  static numberOf(id: string): number {
    const number = Number(String(id).slice(ID_PREFIX.length));
    return `${ID_PREFIX}${number}` === id ? number : Number.NaN;
  }

  get id(): string {
    return `${ID_PREFIX}${this.number}`;
  }

  get tenant(): string | undefined {
    return this.#holder.tenant;
  }

  get owner(): string | undefined {
    return this.#holder.owner;
  }

  get instance(): ServerInstance {
    return this.#instance;
  }

  get name(): string {
    return this.instance.name;
  }

  get instanceId(): string {
    return this.instance.id;
  }

  get pid(): number | undefined {
    return this.instance.pid;
  }

  /** Its requests that are not answered. */
  get openRequests(): number {
    return this.#session?.openRequests ?? 0;
  }

  get transport(): PooledTransport {
    if (this.#session === undefined) {
      if (this.#end) throw this.#end.error();
      this.#session = this.instance.openSession(this);
    }
    return this.#session;
  }

  get stderr(): Readable | undefined {
    return this.instance.stderr;
  }

  get ended(): Promise<CleanupReport | undefined> {
    if (this.#ended === undefined) {
      this.#ended = deferred();
      if (this.#over) this.#ended.resolve(held(this.#host, this.#outcome));
    }
    return this.#ended.promise;
  }

  release(): boolean {
    return this.end(new Release(this));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.release();
    await this.ended;
  }

  /** Ends the lease, whoever wants it; its transport says why from now on. False when it has ended already. */
  end(end: SessionEnd): boolean {
    if (this.#end) return false;
    this.#end = end;
    this.#outcome = this.#host.leaseEnded(this, end);
    this.#over = true;
    this.#ended?.resolve(held(this.#host, this.#outcome));
    return true;
  }

  /** Its server is another process from now on. */
  moveTo(instance: ServerInstance): void {
    this.#instance.leases -= 1;
    this.#instance = instance;
    instance.leases += 1;
  }

  /** Closes its transport, if its holder has one. */
  closeSession(end: SessionEnd): void {
    this.#session?.end(end);
  }

  closeRequested(): void {
    this.release();
  }

  touched(): void {
    this.lastActivity = this.#host.clock.now();
  }
}

/** Somebody waits for the end of a process: that holds the host open. */
function held({ hold }: LeaseHost, end: Promise<CleanupReport | undefined> | undefined): typeof end {
  return end && hold.during(end);
}

/** The end of a lease that its holder asked for. The error is only made for those who use it afterwards. */
class Release implements SessionEnd {
  readonly asked = true;
  readonly #lease: Lease;

  constructor(lease: Lease) {
    this.#lease = lease;
  }

  error(): PoolError {
    const { id, name, instanceId } = this.#lease;
    const message = `the lease ${id} on server '${name}' was released; get another with getServer()`;
    return new PoolError('LEASE_RELEASED', message, { name, leaseId: id, instanceId });
  }
}

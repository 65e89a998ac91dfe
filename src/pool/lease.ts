import type { HostHold } from '../config/host-hold.js';
import { PoolError } from '../errors.js';
import type { CleanupReport } from '../process/cleanup-queue.js';
import type { PooledTransport, Session, SessionEnd } from '../protocol/session.js';
import type { Occupant } from '../server/instance-context.js';
import type { ServerInstance } from '../server/server-instance.js';

/** The right to talk to an instance, as `getServer()` returns it. */
export interface PooledServer {
  /** `lease-…`; stays the same for the life of the lease. */
  readonly id: string;
  /** Name of the server. */
  readonly name: string;
  /** `mcp-<timestamp>-<sequence>`: the process tree behind the lease. */
  readonly instanceId: string;
  /** Pid of the process that was spawned: of `npx` itself, if the server is started by it. */
  readonly pid: number | undefined;
  readonly tenant: string | undefined;
  readonly owner: string | undefined;
  /**
   * For `client.connect()` of an SDK v1 or v2 client. Closing it releases the lease.
   * @throws PoolError `LEASE_RELEASED` when the lease ended and the transport was never used
   */
  readonly transport: PooledTransport;
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
  readonly hold: HostHold;
  /** Takes the instance back; returns the end of its process, if it ends. */
  leaseEnded(lease: Lease, end: SessionEnd): Promise<CleanupReport | undefined> | undefined;
}

let sequence = 0;

export class Lease implements PooledServer, Occupant {
  readonly id = `lease-${++sequence}`;
  readonly tenant: string | undefined;
  readonly owner: string | undefined;
  /** Clock time at which it was given out. */
  readonly acquiredAt: number;
  /** Where the borrower stood, when leak detection is on. */
  readonly stack: string | undefined;
  /** Whether `lease:leaked` was told. */
  leakTold = false;
  readonly #host: LeaseHost;
  /** Private, so that a lease that is logged does not show the environment of its server. */
  readonly #instance: ServerInstance;
  #session: Session | undefined;
  #end: SessionEnd | undefined;
  #outcome: Promise<CleanupReport | undefined> | undefined;
  #settleEnded: ((outcome: Promise<CleanupReport | undefined>) => void) | undefined;
  #ended: Promise<CleanupReport | undefined> | undefined;

  constructor(
    host: LeaseHost,
    instance: ServerInstance,
    request: {
      readonly tenant: string | undefined;
      readonly owner: string | undefined;
      readonly stack: string | undefined;
    },
    now: number,
  ) {
    this.#host = host;
    this.#instance = instance;
    this.tenant = request.tenant;
    this.owner = request.owner;
    this.stack = request.stack;
    this.acquiredAt = now;
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

  get transport(): PooledTransport {
    if (this.#session === undefined) {
      if (this.#end) throw this.#end.error();
      this.#session = this.instance.openSession(this);
    }
    return this.#session;
  }

  get ended(): Promise<CleanupReport | undefined> {
    this.#ended ??= this.#end
      ? this.#heldOutcome()
      : new Promise((resolve) => {
          this.#settleEnded = resolve;
        });
    return this.#ended;
  }

  release(): boolean {
    return this.end({ asked: true, error: () => this.#releasedError() });
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
    this.#settleEnded?.(this.#heldOutcome());
    return true;
  }

  onSessionEnded(error: PoolError): void {
    this.end({ asked: false, error: () => error });
  }

  onCloseRequested(): void {
    this.release();
  }

  #releasedError(): PoolError {
    return new PoolError(
      'LEASE_RELEASED',
      `the lease ${this.id} on server '${this.name}' was released; get another with getServer()`,
      { name: this.name, leaseId: this.id, instanceId: this.instanceId },
    );
  }

  #heldOutcome(): Promise<CleanupReport | undefined> {
    return this.#outcome === undefined ? Promise.resolve(undefined) : this.#host.hold.during(this.#outcome);
  }
}

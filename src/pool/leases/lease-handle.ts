import type { Readable } from 'node:stream';
import { inspect } from 'node:util';
import type { CleanupReport } from '../../process/cleanup-queue.js';
import type { PooledTransport } from '../../protocol/session.js';
import { type Inspect, shown } from '../../runtime/shown.js';
import type { Lease, PooledServer } from './lease.js';

/** One more holder of a lease (`reuseLease`): the same lease, with a `release()` of its own. */
export class LeaseHandle implements PooledServer {
  readonly #lease: Lease;
  #isReleased = false;

  constructor(lease: Lease) {
    this.#lease = lease;
  }

  get id(): string {
    return this.#lease.id;
  }

  get name(): string {
    return this.#lease.name;
  }

  get instanceId(): string {
    return this.#lease.instanceId;
  }

  get pid(): number | undefined {
    return this.#lease.pid;
  }

  get tenant(): string | undefined {
    return this.#lease.tenant;
  }

  get owner(): string | undefined {
    return this.#lease.owner;
  }

  get transport(): PooledTransport {
    return this.#lease.transport;
  }

  get stderr(): Readable | undefined {
    return this.#lease.stderr;
  }

  get ended(): Promise<CleanupReport | undefined> {
    return this.#lease.ended;
  }

  release(): boolean {
    if (this.#isReleased) return false;
    this.#isReleased = true;
    return this.#lease.drop();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.release();
    if (this.#lease.isOver) await this.ended;
  }

  toJSON(): object {
    return this.#lease.toJSON();
  }

  [inspect.custom](depth: number, options: object, show: Inspect): string {
    return shown('PooledServer', this.toJSON(), depth, options, show);
  }
}
